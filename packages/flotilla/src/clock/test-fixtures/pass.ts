import type { VirtualClock } from "../virtual-clock.ts";

/** Lets time pass, a millisecond at a time, until the work is done. */
export async function pass<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  const state = { over: false };
  const end = (): void => {
    state.over = true;
  };
  work.then(end, end);
  while (!state.over) await clock.advance(1);
  return work;
}
