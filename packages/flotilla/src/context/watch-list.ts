import type { Clock } from "../clock/clock.ts";

/** A call that may be worth watching; the links are the list's own. */
export interface Watchable {
  newer: Watchable | undefined;
  older: Watchable | undefined;
  generation: Generation | undefined;
  /** Starts minding the end of the call's context. Called at most once. */
  watch(): void;
}

interface Generation {
  newest: Watchable | undefined;
}

/** A call this old is watched; a shorter deadline has to be watched from the start. */
export const UNWATCHED_MS = 10;

/**
 * Puts off what most calls never need: being told of their context's end. Nearly all are answered within a few
 * milliseconds, so a call is watched only once it has lived through a whole interval of {@link UNWATCHED_MS}.
 *
 *     calls begin → [ fresh ] —interval→ [ aging ] —interval→ watched
 */
export class WatchList {
  readonly #clock: Clock;
  #fresh: Generation = { newest: undefined };
  #aging: Generation = { newest: undefined };
  #ticking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(call: Watchable): void {
    const { newest } = this.#fresh;
    call.older = newest;
    if (newest !== undefined) newest.newer = call;
    this.#fresh.newest = call;
    call.generation = this.#fresh;
    if (!this.#ticking) this.#tick();
  }

  remove(call: Watchable): void {
    const { generation, newer, older } = call;
    if (generation === undefined) return;
    if (newer !== undefined) newer.older = older;
    else generation.newest = older;
    if (older !== undefined) older.newer = newer;
    call.newer = call.older = call.generation = undefined;
  }

  /** Ticks only while there are calls to look at, and never keeps the process alive. */
  #tick(): void {
    this.#ticking = true;
    this.#clock
      .schedule(UNWATCHED_MS, () => {
        for (let call = this.#aging.newest; call !== undefined; call = this.#aging.newest) {
          this.remove(call);
          call.watch();
        }
        const empty = this.#aging;
        this.#aging = this.#fresh;
        this.#fresh = empty;
        if (this.#aging.newest === undefined) this.#ticking = false;
        else this.#tick();
      })
      .unref();
  }
}
