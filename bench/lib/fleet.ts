import type { InstanceObserver, Instancer } from "flotilla/discovery";
import type { Connector, Instance } from "flotilla/endpoint";

const SIZE = 10_000;
/** A hundredth of the fleet is replaced by an update. */
const REPLACED = SIZE / 100;
/** Snapshots before the cycle begins again: half of them bring new instances, half the old ones back. */
const CYCLE = 20;

/** Instance `i` of the fleet, before or after its replacement. Objects are made anew, as a registry that is read makes them. */
function instance(i: number, replaced: boolean): Instance {
  const address = `http://10.${replaced ? 1 : 0}.${i >> 8}.${i & 255}:8080`;
  return { id: `${String(i).padStart(5, "0")}-${replaced ? "b" : "a"}`, address };
}

/** Full snapshots, each differing from the one before it, and the first from the last, in 1 % of the instances. */
function snapshots(): Instance[][] {
  const half = CYCLE / 2;
  return Array.from({ length: CYCLE }, (_none, step) =>
    Array.from({ length: SIZE }, (_, i) => {
      const block = Math.floor(i / REPLACED);
      return instance(i, block < half && (step < half ? block <= step : block > step - half));
    }),
  );
}

/** A registry of one service whose instances change when told to. */
export class Fleet implements Instancer {
  readonly #snapshots = snapshots();
  readonly #observers = new Set<InstanceObserver>();
  #step = 0;

  watch(_service: string, observer: InstanceObserver): { stop(): void } {
    this.#observers.add(observer);
    queueMicrotask(() => observer.update(this.#snapshot()));
    return { stop: () => this.#observers.delete(observer) };
  }

  /** Replaces 1 % of the instances. */
  replace(): void {
    this.#step = (this.#step + 1) % CYCLE;
    const snapshot = this.#snapshot();
    for (const observer of this.#observers) observer.update(snapshot);
  }

  #snapshot(): readonly Instance[] {
    return this.#snapshots[this.#step] ?? [];
  }
}

const answer = Promise.resolve({ v: 3 });
const done = Promise.resolve();
const answering = () => answer;
const settled = () => done;

/** Connections that answer at once, so that what is left is discovery and balancing. */
export const instant: Connector = {
  protocol: "http",
  // The endpoint answers every method alike, whatever its response type.
  connect: () => ({ endpoint: () => answering, drain: settled, close: settled }),
};
