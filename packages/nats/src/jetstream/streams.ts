import {
  AckPolicy,
  type ConsumerConfig,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
} from "@nats-io/jetstream";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import { dashed } from "../subjects.ts";
import { DEAD_PREFIX, type JetStreamSettings } from "./options.ts";

const WEEK_MS = 7 * 24 * 3600 * 1000;
const STREAM_NOT_FOUND = 10059;
const NAME_IN_USE = 10058;
const CONSUMER_EXISTS = 10148;

/** The durable consumer that a group has for a service. Groups may have dashes, but no service has two in a row, so no two of them meet. */
export function durableOf(group: string, service: string): string {
  return `${group}--${dashed(service)}`;
}

/**
 * Makes what is not there: the stream with the subjects of the services, the one for dead letters, and a consumer for each service. Those of
 * processes that begin at the same time agree.
 *
 * @throws Error when something is missing that may not be made, or JetStream refuses.
 */
export async function prepare(
  connection: NatsConnection,
  settings: JetStreamSettings,
  services: readonly string[],
): Promise<void> {
  const { stream, create, deadLetters, prefix, group, ackWaitMs, maxAckPending } = settings;
  const manager = await jetstreamManager(connection);
  const subjects = services.map((service) => `${prefix}.${service}.*`);
  const shape = { discard: DiscardPolicy.New, max_age: nanos(WEEK_MS), ...create };
  await ensureStream(manager, stream, subjects, create === false ? undefined : shape);
  await ensureStream(
    manager,
    deadLetters,
    [`${DEAD_PREFIX}.${stream}.>`],
    create === false ? undefined : deadShape(shape),
  );
  for (const service of services) {
    await ensureConsumer(manager, stream, {
      durable_name: durableOf(group, service),
      filter_subject: `${prefix}.${service}.*`,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ackWaitMs),
      max_ack_pending: maxAckPending,
      // Counted here: a message that the broker stops delivering by itself would be in nobody's hands.
      max_deliver: -1,
    });
  }
}

async function ensureConsumer(
  manager: JetStreamManager,
  stream: string,
  config: Partial<ConsumerConfig> & { durable_name: string },
): Promise<void> {
  try {
    await manager.consumers.add(stream, config);
  } catch (error) {
    // From 2.10 on the client library's `add` changes nothing about one that is there with other options.
    if (!(error instanceof JetStreamApiError) || error.code !== CONSUMER_EXISTS) throw error;
    await manager.consumers.update(stream, config.durable_name, config);
  }
}

/** Dead letters lie where and as long as the messages do; what else is said of those (retention, limits, sources) would lose or double letters. */
function deadShape(shape: Partial<StreamConfig>): Partial<StreamConfig> {
  const kept = ["compression", "discard", "max_age", "num_replicas", "placement", "storage"] as const;
  return Object.fromEntries(kept.filter((name) => shape[name] !== undefined).map((name) => [name, shape[name]]));
}

async function ensureStream(
  manager: JetStreamManager,
  name: string,
  subjects: readonly string[],
  shape: Partial<StreamConfig> | undefined,
): Promise<void> {
  const present = await configOf(manager, name);
  if (present !== undefined) {
    const missing = subjects.filter((subject) => !present.subjects.some((one) => covers(one, subject)));
    if (missing.length === 0) return;
    if (shape === undefined) throw new Error(`the stream ${name} does not take ${missing.join(", ")}`);
    await manager.streams.update(name, { subjects: [...present.subjects, ...missing] });
    return;
  }
  if (shape === undefined) throw new Error(`there is no stream ${name}, and create is false`);
  try {
    await manager.streams.add({ ...shape, name, subjects: [...subjects] });
  } catch (error) {
    // Another process was faster: what it has made must do.
    if (!(error instanceof JetStreamApiError) || error.code !== NAME_IN_USE) throw error;
    await ensureStream(manager, name, subjects, shape);
  }
}

async function configOf(manager: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(name)).config;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
    throw error;
  }
}

/** Whether all that one subject means is among what another does. */
export function covers(wide: string, narrow: string): boolean {
  const all = wide.split(".");
  const some = narrow.split(".");
  for (const [i, token] of all.entries()) {
    if (token === ">") return some.length > i;
    if (some[i] === undefined || (token !== "*" && token !== some[i]) || some[i] === ">") return false;
  }
  return all.length === some.length;
}
