import type { Clock, Timer } from "flotilla/clock";
import { background, type Context, withTimeout } from "flotilla/context";
import type { Message, Outbox } from "../kernel/outbox.ts";

/** What {@link createRelay} needs. */
export interface RelayOptions {
  readonly outbox: Outbox;
  /** Tells another context; rejects when it could not. May be called twice for one message, so the other side must be idempotent. */
  readonly deliver: (ctx: Context, message: Message) => Promise<unknown>;
  readonly clock: Clock;
  /** How long a delivery may take, milliseconds. Default 2000. */
  readonly timeoutMs?: number;
  /** How often what is left over is tried again, milliseconds. Default 1000. */
  readonly everyMs?: number;
}

/** Carries messages from an outbox to whom they concern, until each has arrived. */
export interface Relay {
  /** Tries one message now, so that who was told can be asked right after. A failure is no error: it is tried again later. */
  attempt(id: number): Promise<void>;
  /** Messages that have not arrived. */
  readonly pending: number;
  /** Deliveries that failed, including those that succeeded later. */
  readonly failures: number;
  /** Waits for deliveries under way, and tries no more. What is left stays in the outbox for the next start. */
  close(): Promise<void>;
}

/** At most so many deliveries of left-over messages at a time. */
const batch = 16;

/** Starts a relay: what an earlier process left over goes first. */
export function createRelay({ outbox, deliver, clock, timeoutMs = 2000, everyMs = 1000 }: RelayOptions): Relay {
  const underWay = new Map<number, Promise<void>>();
  let failures = 0;
  let timer: Timer | undefined;
  let stopped = false;

  async function carry(message: Message): Promise<void> {
    const ctx = withTimeout(background(clock), timeoutMs);
    try {
      await deliver(ctx, message);
      outbox.remove(message.id);
    } catch {
      failures++;
    } finally {
      ctx.cancel();
      underWay.delete(message.id);
    }
  }

  function start(message: Message): Promise<void> {
    const known = underWay.get(message.id);
    if (known !== undefined) return known;
    const carried = carry(message);
    underWay.set(message.id, carried);
    return carried;
  }

  async function sweep(): Promise<void> {
    await Promise.all(outbox.pending(batch).map(start));
    if (!stopped) timer = clock.schedule(everyMs, () => void sweep());
  }

  const sweeping = sweep();
  return {
    attempt: async (id) => {
      const message = outbox.find(id);
      if (message !== undefined && !stopped) await start(message);
    },
    get pending() {
      return outbox.count();
    },
    get failures() {
      return failures;
    },
    close: async () => {
      stopped = true;
      timer?.cancel();
      await sweeping;
      await Promise.all(underWay.values());
      timer?.cancel();
    },
  };
}
