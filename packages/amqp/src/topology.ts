import type { Channel } from "amqplib";

/** How often a message may come again and again by which its consumers die, or are stopped, before the broker puts it to the dead letters. */
const REDELIVERIES = 20;

/** The queues of a group. */
export interface Topology {
  readonly queue: string;
  readonly dead: string;
  readonly maxDeliveries: number;
  /** The first pause of a message that failed, and the longest, milliseconds. */
  readonly firstMs: number;
  readonly maxMs: number;
  /** The pauses for which there are queues, milliseconds. */
  readonly pauses: Set<number>;
  readonly maxLength: number;
}

/** The queues of a group, whose pauses double from `firstMs` to `maxMs`. */
export function topologyOf(
  group: string,
  maxDeliveries: number,
  firstMs: number,
  maxMs: number,
  maxLength: number,
): Topology {
  const pauses = new Set<number>();
  const topology = { queue: group, dead: `${group}.dead`, maxDeliveries, firstMs, maxMs, pauses, maxLength };
  for (let delivery = 1; delivery < maxDeliveries; delivery++) {
    pauses.add(pauseFor(topology, firstMs * 2 ** (delivery - 1)));
  }
  return topology;
}

/** The shortest pause of those that is no shorter; else the longest. */
export function pauseFor({ firstMs, maxMs }: Pick<Topology, "firstMs" | "maxMs">, leastMs: number): number {
  let pauseMs = firstMs;
  while (pauseMs < leastMs && pauseMs < maxMs) pauseMs *= 2;
  return Math.min(maxMs, pauseMs);
}

/** The queue where messages wait for so long. */
export function pauseQueue({ queue }: Topology, pauseMs: number): string {
  return `${queue}.retry.${pauseMs}`;
}

/**
 * Declares them, as quorum queues: on disk before a publisher is told so, with a limit to redeliveries, and dead-lettering that loses nothing
 * (RabbitMQ 3.10). Full, they refuse.
 */
export async function declare(channel: Channel, topology: Topology): Promise<void> {
  const { queue, dead, pauses, maxLength } = topology;
  await channel.assertQueue(dead, { durable: true, arguments: common(maxLength) });
  await channel.assertQueue(queue, {
    durable: true,
    arguments: { ...common(maxLength), ...lettersTo(dead), "x-delivery-limit": REDELIVERIES },
  });
  for (const pauseMs of pauses) await declarePause(channel, topology, pauseMs);
}

/** Declares the queue of a pause. */
export async function declarePause(channel: Channel, topology: Topology, pauseMs: number): Promise<void> {
  const { queue, maxLength } = topology;
  await channel.assertQueue(pauseQueue(topology, pauseMs), {
    durable: true,
    arguments: { ...common(maxLength), ...lettersTo(queue), "x-message-ttl": pauseMs },
  });
}

function common(maxLength: number): Record<string, unknown> {
  return { "x-queue-type": "quorum", "x-max-length": maxLength, "x-overflow": "reject-publish" };
}

function lettersTo(target: string): Record<string, unknown> {
  return {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": target,
    "x-dead-letter-strategy": "at-least-once",
  };
}
