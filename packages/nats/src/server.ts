import type { Msg, NatsConnection, Subscription } from "@nats-io/nats-core";
import { type Random, systemRandom } from "flotilla/clock";
import type { Context } from "flotilla/context";
import { type Listener, type Listening, reportError, type Service } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { Serving } from "flotilla/wire";
import { Link, type LinkUser } from "./link.ts";
import { reportEnd, reportFailure, reportLoss } from "./loss.ts";
import { MethodCount } from "./method-count.ts";
import { checkServers, checkTokens, hostOf, type NatsCommonOptions, type NatsSettings, settle } from "./options.ts";
import { ServerCalls } from "./server-calls.ts";
import { ServiceAnswers, type ServiceWords } from "./service-answers.ts";
import { cancelSubjectOf, subjectOf } from "./subjects.ts";

/** Options of {@link nats}. */
export interface NatsOptions extends NatsCommonOptions {
  /** The broker, or some of those of a cluster: `nats://host:port`. Default `nats://127.0.0.1:4222`. */
  readonly servers?: string | readonly string[];
  /** The queue group: a request goes to one process of those with the same. Default: the name of the service. */
  readonly queue?: string;
  /** The version that `nats micro` shows, by semver.org. Default `0.0.0`. */
  readonly version?: string;
  /** What `nats micro` shows beside it. Default none. */
  readonly description?: string;
  /** What it shows of this process. Default none. */
  readonly metadata?: Readonly<Record<string, string>>;
}

const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;

/**
 * Serves over NATS. The processes of a service share its requests through a queue group; clients need no registry.
 *
 * ```ts
 * await host({ name: "calculator", serve: [calculator], listen: [nats({ servers: "nats://127.0.0.1:4222" })] }).run();
 * ```
 *
 * A request is what a unary call of the Connect protocol is over HTTP, with a subject in the place of the path: `flotilla.calc.v1.Calculator.sum`,
 * JSON unless `content-type` says `application/proto`. So any client of NATS can ask. The tools of NATS see each service (`$SRV`, ADR-32).
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function nats(options: NatsOptions = {}, random: Random = systemRandom): Listener {
  const { servers = "nats://127.0.0.1:4222", queue, version = "0.0.0", description = "", metadata = {} } = options;
  const settings = settle("nats", options);
  const addresses = typeof servers === "string" ? [servers] : servers;
  checkServers("nats", addresses);
  if (queue !== undefined) checkTokens("nats", "queue", queue);
  if (!SEMVER.test(version)) throw new TypeError(`nats: version must be like 1.0.0 (semver.org), got ${version}`);
  return {
    protocol: "nats",
    async listen(services, root) {
      const server = new Server(addresses, settings, services, root, queue, { version, description, metadata }, random);
      await server.open();
      return server;
    },
  };
}

class Server implements Listening, LinkUser {
  readonly protocol = "nats";
  readonly address: string;
  readonly #calls: ServerCalls;
  readonly #link: Link;
  readonly #serving: Serving;
  readonly #services: readonly Service[];
  readonly #queue: string | undefined;
  readonly #words: ServiceWords;
  readonly #root: Context;
  readonly #prefix: string;
  /** What may not be listened to. */
  readonly #unheard: string[] = [];
  #listening = false;
  #requests: Subscription[] = [];
  #drained: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    addresses: readonly string[],
    settings: NatsSettings,
    services: readonly Service[],
    root: Context,
    queue: string | undefined,
    words: ServiceWords,
    random: Random,
  ) {
    this.address = addresses[0]!;
    this.#services = services;
    this.#queue = queue;
    this.#words = words;
    this.#root = root;
    this.#prefix = settings.prefix;
    const hosts = addresses.map((address) => hostOf("nats", address));
    this.#link = new Link(this.address, hosts, settings, this, random);
    this.#serving = new Serving(this.address, settings.wire, services, root, () => {});
    this.#calls = new ServerCalls(settings, root.clock, this.#link, this.#serving);
  }

  get inFlight(): number {
    return this.#serving.inFlight;
  }

  get connections(): number {
    return this.#link.up ? 1 : 0;
  }

  /** @throws Error when the broker cannot be reached, or forbids what is needed. */
  async open(): Promise<void> {
    try {
      const connection = await this.#link.open();
      // By now the broker has said what it forbids.
      await connection.flush();
    } catch (error) {
      await this.#link.close(this.#root.clock);
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`nats: cannot serve at ${this.address}: ${why}`, { cause: error });
    }
    if (this.#unheard.length > 0) {
      await this.#link.close(this.#root.clock);
      throw new Error(`nats: the broker at ${this.address} forbids to listen to ${this.#unheard.join(", ")}`);
    }
    this.#listening = true;
  }

  opened(connection: NatsConnection): void {
    const calls = this.#calls;
    const listen = (subject: string, handle: (msg: Msg) => void, queue?: string): Subscription =>
      connection.subscribe(subject, {
        ...(queue !== undefined && { queue }),
        callback: (error, msg) => {
          if (error === null) this.#guarded(handle, msg);
          else if (this.#listening) this.#forbids(`listen to ${subject}`);
          else this.#unheard.push(subject);
        },
      });
    for (const { name, methods, observed } of this.#services) {
      const queue = this.#queue ?? name;
      const counts = methods.map(({ info }) => new MethodCount(info, subjectOf(this.#prefix, info.procedure)));
      for (const count of counts) {
        this.#requests.push(listen(count.subject, (msg) => calls.request(count, msg), queue));
      }
      listen(cancelSubjectOf(this.#prefix, name), (msg) => calls.cancel(msg));
      // What comes with a middleware is nobody's concern.
      if (observed !== false) {
        const answers = new ServiceAnswers(name, queue, this.#words, counts, this.#root.clock);
        answers.subscribe(connection, (question, answer) =>
          this.#guarded((msg) => calls.tell(msg, JSON.stringify(answer)), question),
        );
      }
    }
    listen(calls.streamSubjects, (msg) => calls.frame(msg));
  }

  /** What throws in a callback ends the client library's reading for good. */
  #guarded(handle: (msg: Msg) => void, msg: Msg): void {
    try {
      handle(msg);
    } catch (thrown) {
      reportError(this.#root, ServiceError.from(thrown));
    }
  }

  /** An answer that never comes is all that its caller notices. */
  forbidden(subject: string): void {
    this.#forbids(`send to ${subject}`);
  }

  #forbids(what: string): void {
    const error = new ServiceError("permission_denied", `nats: the broker at ${this.address} forbids to ${what}`);
    reportError(this.#root, error);
  }

  lost(): void {
    this.#calls.lost();
    if (!this.#calls.draining) reportLoss(this.#root, "nats", this.address);
  }

  failed(error: Error): void {
    reportFailure(this.#root, "nats", this.address, error);
  }

  ended(why: Error | undefined): void {
    reportEnd(this.#root, "nats", this.address, why);
  }

  /** There is no connection of a client's to be given up: the broker sends requests to whoever listens. */
  discourage(): void {}

  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    this.#calls.draining = true;
    const requests = this.#requests;
    this.#requests = [];
    // Until the broker has heard of it, requests come still, and are refused. What the connection does not survive need not be waited for.
    for (const subscription of requests) subscription.drain().catch(() => {});
    await this.#link.flush(this.#root.clock);
    await this.#serving.drain();
  }

  close(cause?: unknown): Promise<void> {
    this.#closed ??= this.#close(cause);
    return this.#closed;
  }

  async #close(cause: unknown): Promise<void> {
    this.#calls.draining = true;
    await this.#serving.close(cause);
    await this.drain();
    await this.#link.close(this.#root.clock);
  }
}
