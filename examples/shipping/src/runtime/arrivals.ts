import type { Clock, Timer } from "flotilla/clock";
import type { Random } from "../kernel/random.ts";

/** A running stream of arrivals. */
export interface Arrivals {
  stop(): void;
}

/**
 * Calls `arrive` at random moments, so many times a second in the mean, whatever becomes of those who arrived: an open loop
 * (Poisson process), as real customers are. Moments missed because the process was busy are made up for, so that the
 * load does not go down when the system gets slow.
 */
export function startArrivals(perSecond: number, random: Random, clock: Clock, arrive: () => void): Arrivals {
  let timer: Timer | undefined;
  let stopped = perSecond <= 0;
  let next = clock.now();
  const schedule = () => {
    next += (-Math.log(1 - random()) / perSecond) * 1000;
    timer = clock.schedule(next - clock.now(), () => {
      arrive();
      if (!stopped) schedule();
    });
  };
  if (!stopped) schedule();
  return {
    stop: () => {
      stopped = true;
      timer?.cancel();
    },
  };
}
