import type { Balancer, BalancerFactory, Candidate } from "flotilla/balance";
import { seededRandom, systemClock } from "flotilla/clock";
import { background } from "flotilla/context";
import type { Loop } from "./worker.ts";

interface Counted extends Candidate {
  inFlight: number;
}

let keys = 0;

/** A key of ten thousand, in turn. */
export function nextKey(): string {
  keys = (keys + 1) % 10_000;
  return `user-${keys}`;
}

/** Picks one of so many candidates in three zones and tells the balancer how the call ended, eight calls being in flight. */
export function picks(factory: BalancerFactory, n: number): Loop {
  const candidates: Counted[] = Array.from({ length: n }, (_, i) => ({
    instance: { id: `instance-${i}`, address: `http://10.0.${i >> 8}.${i & 255}:8080`, zone: `zone-${i % 3}` },
    inFlight: 0,
  }));
  const balancer: Balancer<Counted> = factory({ clock: systemClock, random: seededRandom(1) });
  balancer.update(candidates);
  const ctx = background();
  const running: Counted[] = [];
  return (iterations) => {
    let at = 0;
    // The channel reads the clock at the end of each call, whatever the balancer.
    let nowMs = systemClock.now();
    for (let i = 0; i < iterations; i++) {
      const picked = balancer.pick(ctx);
      if (picked === undefined) throw new Error("nothing was picked");
      picked.inFlight++;
      const ended = running[at];
      running[at] = picked;
      at = (at + 1) & 7;
      if (ended === undefined) continue;
      ended.inFlight--;
      nowMs += 0.1;
      balancer.done?.(ended, 5, undefined, nowMs);
      balancer.report?.(ended, { requestsInFlight: ended.inFlight, latencyMs: 5 }, nowMs);
    }
    return at;
  };
}
