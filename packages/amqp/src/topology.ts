import type { Channel } from "amqplib";

/** How often a message may come again and again by which its consumers die, or are stopped, before the broker puts it to the dead letters. */
const REDELIVERIES = 20;

/** The queues of a group. */
export interface Topology {
  readonly queue: string;
  /** The queue where messages wait before they come again, by the number of the delivery that failed, from 1. */
  readonly retries: readonly string[];
  readonly dead: string;
  /** Where the pauses are, milliseconds, by queue. */
  readonly delays: ReadonlyMap<string, number>;
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
  const delays = new Map<string, number>();
  const retries: string[] = [];
  for (let delivery = 1; delivery < maxDeliveries; delivery++) {
    const delayMs = Math.min(maxMs, firstMs * 2 ** (delivery - 1));
    const queue = `${group}.retry.${delayMs}`;
    delays.set(queue, delayMs);
    retries.push(queue);
  }
  return { queue: group, retries, dead: `${group}.dead`, delays, maxLength };
}

/**
 * Declares them, as quorum queues: on disk before a publisher is told so, with a limit to redeliveries, and dead-lettering that loses nothing
 * (RabbitMQ 3.10). Full, they refuse.
 */
export async function declare(channel: Channel, topology: Topology): Promise<void> {
  const { queue, dead, delays, maxLength } = topology;
  const common = { "x-queue-type": "quorum", "x-max-length": maxLength, "x-overflow": "reject-publish" };
  const lettersTo = (target: string): Record<string, unknown> => ({
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": target,
    "x-dead-letter-strategy": "at-least-once",
  });
  await channel.assertQueue(dead, { durable: true, arguments: common });
  await channel.assertQueue(queue, {
    durable: true,
    arguments: { ...common, ...lettersTo(dead), "x-delivery-limit": REDELIVERIES },
  });
  for (const [name, delayMs] of delays) {
    await channel.assertQueue(name, {
      durable: true,
      arguments: { ...common, ...lettersTo(queue), "x-message-ttl": delayMs },
    });
  }
}
