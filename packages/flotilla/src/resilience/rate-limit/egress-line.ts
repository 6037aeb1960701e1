import type { Timer } from "../../clock/clock.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc, remainingMs } from "../../context/with.ts";
import { outgoingCallKey } from "../../endpoint/observer.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import { withoutStack } from "../../errors/without-stack.ts";
import type { Decision, RateLimiter } from "./limiter.ts";
import { reason } from "./rate-limit.ts";

/** A limiter that refuses and names no time is asked again after so many milliseconds. */
const ASK_AGAIN_MS = 1;

/** A call that waits for its turn. */
interface Waiter {
  readonly ctx: Context;
  readonly cost: number;
  /** Ends the wait, once: without an error the call goes on. */
  leave(error?: unknown): void;
}

/** What the lines of one limit have in common. */
export interface Lines {
  readonly limiter: RateLimiter;
  readonly policy: string;
  readonly maxWaiting: number;
  /** Calls that wait now, in all lines. */
  waiting: number;
  /** Calls that were failed because of the limit. */
  refused: number;
  /** Those that have somebody waiting, by key. */
  readonly byKey: Map<string, EgressLine>;
}

/**
 * The calls that wait for units of one key, first come first served. Only the first asks the limiter, again when it was told to; one
 * timer runs, on that call's clock. It exists as long as somebody waits.
 */
export class EgressLine {
  readonly #key: string;
  readonly #lines: Lines;
  readonly #waiters = new Set<Waiter>();
  /** What all that wait will cost. */
  #units = 0;
  /** When the first is likely to have its turn, on the clock of its context. */
  #dueMs = -Infinity;
  #timer: Timer | undefined = undefined;
  #asking = false;

  constructor(key: string, lines: Lines) {
    this.#key = key;
    this.#lines = lines;
    lines.byKey.set(key, this);
  }

  /**
   * Waits for the call's turn.
   *
   * @param decision - the refusal that the first call of a line already has.
   * @throws ServiceError `resource_exhausted` at once when the turn would come too late, or too many wait; what the context
   *   ended with when it ends.
   */
  wait(ctx: Context, cost: number, decision: Decision | undefined): Promise<void> {
    const lines = this.#lines;
    const waitMs = this.#waitMs(ctx, cost, decision);
    const leftMs = remainingMs(ctx);
    if (waitMs >= leftMs || lines.waiting >= lines.maxWaiting) {
      this.#closeIfEmpty();
      const why =
        waitMs >= leftMs
          ? `the turn of this call would come in ${Math.ceil(waitMs)} ms, and its deadline is in ${Math.floor(leftMs)} ms`
          : `${lines.waiting} calls wait already`;
      return Promise.reject(tooLate(lines, why, waitMs));
    }
    return new Promise((resolve, reject) => {
      const waited = ctx.value(outgoingCallKey)?.waits("rate limit");
      const stop = afterFunc(ctx, () => this.#giveUp(waiter, ctx.err));
      const waiter: Waiter = {
        ctx,
        cost,
        leave: (error) => {
          this.#waiters.delete(waiter);
          this.#units -= cost;
          lines.waiting--;
          stop();
          waited?.(error);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.#waiters.add(waiter);
      this.#units += cost;
      lines.waiting++;
      if (this.#waiters.size > 1) return;
      if (decision === undefined) this.#serve();
      else this.#sleep(ctx, waitMs);
    });
  }

  /** How long the newcomer will wait, if nobody else takes any. */
  #waitMs(ctx: Context, cost: number, decision: Decision | undefined): number {
    const first = this.#first();
    if (first === undefined) return decision === undefined ? 0 : Math.max(decision.retryAfterMs, ASK_AGAIN_MS);
    const { limit, windowMs } = this.#lines.limiter;
    const firstMs = Math.max(0, this.#dueMs - ctx.clock.now());
    return firstMs + ((this.#units - first.cost + cost) * windowMs) / limit;
  }

  /** Lets in as many as can go now. */
  #serve(): void {
    if (this.#asking) return;
    for (let first = this.#first(); first !== undefined; first = this.#first()) {
      let decision: Decision | Promise<Decision>;
      try {
        decision = this.#lines.limiter.take(this.#key, first.cost);
      } catch (error) {
        first.leave(error);
        continue;
      }
      if (decision instanceof Promise) return this.#ask(first, decision);
      if (!this.#goes(first, decision)) return;
    }
    this.#closeIfEmpty();
  }

  #ask(first: Waiter, pending: Promise<Decision>): void {
    this.#asking = true;
    void pending
      .then(
        (decision) => this.#goes(first, decision),
        (error: unknown) => {
          if (this.#waiters.has(first)) first.leave(error);
          return true;
        },
      )
      .then((next) => {
        this.#asking = false;
        if (next) this.#serve();
      });
  }

  /** Lets the first go on, fail, or wait. False when it waits, and all behind it. */
  #goes(first: Waiter, decision: Decision): boolean {
    // It may have left while the limiter was asked.
    if (!this.#waiters.has(first)) return true;
    if (decision.allowed) {
      first.leave();
      return true;
    }
    const waitMs = Math.max(decision.retryAfterMs, ASK_AGAIN_MS);
    const leftMs = remainingMs(first.ctx);
    if (waitMs >= leftMs) {
      const why = `others took what it waited for, and its deadline is in ${Math.floor(leftMs)} ms`;
      first.leave(tooLate(this.#lines, why, waitMs));
      return true;
    }
    this.#sleep(first.ctx, waitMs);
    return false;
  }

  #sleep({ clock }: Context, ms: number): void {
    this.#dueMs = clock.now() + ms;
    this.#timer = clock.schedule(ms, () => {
      this.#timer = undefined;
      this.#serve();
    });
  }

  #giveUp(waiter: Waiter, error: unknown): void {
    const wasFirst = this.#first() === waiter;
    waiter.leave(error);
    if (!wasFirst) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#serve();
  }

  #first(): Waiter | undefined {
    return this.#waiters.values().next().value;
  }

  #closeIfEmpty(): void {
    if (this.#waiters.size === 0 && this.#lines.byKey.get(this.#key) === this) this.#lines.byKey.delete(this.#key);
  }
}

function tooLate(lines: Lines, why: string, afterMs: number): ServiceError {
  lines.refused++;
  const { policy } = lines;
  return withoutStack("resource_exhausted", `over egress limit "${policy}": ${why}`, {
    retry: { afterMs, unprocessed: true },
    details: [reason(policy)],
  });
}
