import type { VirtualClock } from "../virtual-clock.ts";

/** Lets time pass, a millisecond at a time, until the work is done. */
export async function pass<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let over = false;
  const end = (): void => {
    over = true;
  };
  work.then(end, end);
  while (!over) await clock.advance(1);
  return work;
}
