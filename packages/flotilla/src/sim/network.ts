import type { Clock } from "../clock/clock.ts";
import { type Distribution, distributionOf, lognormal } from "../clock/distribution.ts";
import type { Random } from "../clock/random.ts";

/** What a machine is to the network. */
export interface Place {
  readonly name: string;
  readonly zone: string | undefined;
}

/** Options of the network of a simulation. */
export interface NetworkOptions {
  /** One way, milliseconds; or by the places. Default: log-normal with median 0.25 and p99 1. */
  readonly latency?: number | Distribution | ((from: Place, to: Place) => Distribution);
  /** Share of transmissions that are lost, and repeated after `retransmitMs` as TCP does. 0 to below 1. Default 0. */
  readonly loss?: number;
  /** Share of requests that arrive twice, as a proxy that repeats them causes. 0 to 1. Default 0. */
  readonly duplication?: number;
  /** What a machine can send, bytes a second. Default: without limit. */
  readonly bytesPerSecond?: number;
  /** Wait before the first repetition of what was lost, milliseconds; doubles each time, up to a minute. Default 200. */
  readonly retransmitMs?: number;
}

const MAX_RETRANSMIT_MS = 60_000;
/** What is not through after so many tries is given up, as by TCP after some fifteen minutes. */
const MAX_TRIES = 20;

/** Keeps what belongs to one stream in its order: what has overtaken another waits for it. */
export class Lane {
  #sent = 0;
  #arrived = 0;
  readonly #early = new Map<number, () => void>();

  /** What to call on arrival instead of `arrive`. */
  inOrder(arrive: () => void): () => void {
    const number = this.#sent++;
    return () => {
      this.#early.set(number, arrive);
      for (let next = this.#early.get(this.#arrived); next !== undefined; next = this.#early.get(this.#arrived)) {
        this.#early.delete(this.#arrived++);
        next();
      }
    };
  }
}

/**
 * Carries what machines send each other. Nothing is lost for good unless the two are parted: losses show as delay, as over TCP.
 * Messages of different calls overtake each other as their latencies fall.
 */
export class Network {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #latency: (from: Place, to: Place) => Distribution;
  readonly #bytesPerMs: number;
  readonly #retransmitMs: number;
  readonly #cuts = new Set<(from: Place, to: Place) => boolean>();
  readonly #sendingUntil = new Map<string, number>();
  /** May be changed while the simulation runs. */
  loss: number;
  /** May be changed while the simulation runs. */
  duplication: number;
  /** Added to every latency, milliseconds. May be changed while the simulation runs. */
  extraLatencyMs = 0;
  readonly #names: () => readonly string[];
  #calls = 0;
  #carried = 0;
  #repeated = 0;
  #givenUp = 0;

  /** @throws RangeError when an option is not legal, naming it. */
  constructor(clock: Clock, random: Random, options: NetworkOptions = {}, names: () => readonly string[] = () => []) {
    this.#names = names;
    const { latency = lognormal({ median: 0.25, p99: 1 }), loss = 0, duplication = 0, retransmitMs = 200 } = options;
    const { bytesPerSecond = Infinity } = options;
    if (!(loss >= 0 && loss < 1)) throw new RangeError(`network: loss must be from 0 to below 1, got ${loss}`);
    if (!(duplication >= 0 && duplication <= 1)) {
      throw new RangeError(`network: duplication must be from 0 to 1, got ${duplication}`);
    }
    if (!(bytesPerSecond > 0)) throw new RangeError(`network: bytesPerSecond must be above 0, got ${bytesPerSecond}`);
    if (!(retransmitMs > 0)) throw new RangeError(`network: retransmitMs must be above 0, got ${retransmitMs}`);
    this.#clock = clock;
    this.#random = random;
    if (typeof latency === "function") this.#latency = latency;
    else {
      const one = distributionOf(latency);
      this.#latency = () => one;
    }
    this.loss = loss;
    this.duplication = duplication;
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#retransmitMs = retransmitMs;
  }

  /** Calls begun, every attempt of them; messages carried, repeated and given up so far. */
  get counts(): Readonly<Record<"calls" | "carried" | "repeated" | "givenUp", number>> {
    return { calls: this.#calls, carried: this.#carried, repeated: this.#repeated, givenUp: this.#givenUp };
  }

  /**
   * Parts machines: what `between` says is true of no longer gets through, in the direction asked, until the returned
   * function is called. What was sent meanwhile is repeated, and arrives after the healing.
   */
  cut(between: (from: Place, to: Place) => boolean): () => void {
    this.#cuts.add(between);
    return () => void this.#cuts.delete(between);
  }

  /**
   * Parts two groups by the names of machines, or `registry`, both ways.
   *
   * @throws TypeError when there is no machine of such a name.
   * @returns what heals it.
   */
  partition(one: readonly string[], other: readonly string[]): () => void {
    const known = this.#names();
    for (const names of [one, other]) {
      const wrong = Array.isArray(names) ? names.find((name) => !known.includes(name)) : names;
      if (wrong !== undefined) {
        const there =
          known.length > 10 ? `${known.slice(0, 10).join(", ")} and ${known.length - 10} more` : known.join(", ");
        throw new TypeError(
          `partition: two arrays of names of machines are needed; ${JSON.stringify(String(wrong))} is none of ${there}`,
        );
      }
    }
    const a = new Set(one);
    const b = new Set(other);
    return this.cut((from, to) => (a.has(from.name) && b.has(to.name)) || (b.has(from.name) && a.has(to.name)));
  }

  /** A call begins. @returns whether its request arrives twice. */
  begins(): boolean {
    this.#calls++;
    return this.duplication > 0 && this.#random.next() < this.duplication;
  }

  /** Calls `arrive` when what was sent gets there, which may be never. */
  send(from: Place, to: Place, bytes: number, arrive: () => void, lane?: Lane): void {
    this.#carried++;
    this.#transmit(from, to, bytes, lane === undefined ? arrive : lane.inOrder(arrive), 0);
  }

  #transmit(from: Place, to: Place, bytes: number, arrive: () => void, tries: number): void {
    if ((this.loss > 0 && this.#random.next() < this.loss) || (this.#cuts.size > 0 && this.#isCut(from, to))) {
      if (tries === MAX_TRIES) return void this.#givenUp++;
      this.#repeated++;
      const wait = Math.min(MAX_RETRANSMIT_MS, this.#retransmitMs * 2 ** tries);
      this.#clock.schedule(wait, () => this.#transmit(from, to, bytes, arrive, tries + 1));
      return;
    }
    let delay = this.#latency(from, to).sample(this.#random) + this.extraLatencyMs;
    if (this.#bytesPerMs < Infinity) delay += this.#sending(from, bytes);
    this.#clock.schedule(delay, arrive);
  }

  #isCut(from: Place, to: Place): boolean {
    for (const cut of this.#cuts) if (cut(from, to)) return true;
    return false;
  }

  /** How long until it has left the machine: what it is sending already goes first. */
  #sending(from: Place, bytes: number): number {
    const now = this.#clock.now();
    const until = Math.max(now, this.#sendingUntil.get(from.name) ?? 0) + bytes / this.#bytesPerMs;
    this.#sendingUntil.set(from.name, until);
    return until - now;
  }
}
