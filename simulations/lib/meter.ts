import { subscribe } from "node:diagnostics_channel";
import { systemClock } from "flotilla/clock";
import type { World } from "flotilla/sim";

/** How fast simulations go: calls by time of the wall. One a process: it listens for good. */
export class Meter {
  readonly #running = new Set<World>();
  #past = 0;

  constructor() {
    subscribe("flotilla.sim.began", (world) => void this.#running.add(world as World));
    subscribe("flotilla.sim.ended", (world) => {
      this.#running.delete(world as World);
      this.#past += (world as World).network.counts.calls;
    });
  }

  /** Begins to measure; what is returned says, in words, how fast it has been until then. */
  start(): () => string {
    const calls = this.#calls;
    const ms = systemClock.now();
    const cpu = process.cpuUsage();
    return () => {
      const { user, system } = process.cpuUsage(cpu);
      return rate(this.#calls - calls, systemClock.now() - ms, (user + system) / 1000);
    };
  }

  get #calls(): number {
    let calls = this.#past;
    for (const world of this.#running) calls += world.network.counts.calls;
    return calls;
  }
}

/** `200,000 calls in 2.0 s (1.8 s of processor time), 100,000 a second`. */
function rate(calls: number, ms: number, cpuMs: number): string {
  const number = (value: number): string => Math.round(value).toLocaleString("en");
  const seconds = (value: number): string => `${(value / 1000).toFixed(1)} s`;
  const time = `${seconds(ms)} (${seconds(cpuMs)} of processor time)`;
  // Some scenarios play a policy alone, without a network.
  return calls === 0 ? time : `${number(calls)} calls in ${time}, ${number((calls / ms) * 1000)} a second`;
}
