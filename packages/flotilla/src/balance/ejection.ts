import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { Candidate } from "./balancer.ts";

/** Options of the ejection of outliers. */
export interface EjectionOptions {
  /** How often the shares are looked at, milliseconds, above 0. Default 10000. */
  readonly intervalMs?: number;
  /** Ejected at once after so many failures in a row, unless the others fail half as often, too; 1 or more, Infinity for never. Default 5. */
  readonly consecutive?: number;
  /**
   * Ejected whose share of successes is below the mean of all by so many standard deviations; above 0, Infinity for never. Looked at
   * with five instances or more that had `minCalls` in the interval. Default 1.9.
   */
  readonly deviations?: number;
  /** Ejected whose share of failures is this or more; above 0 to 1, Infinity for never. Default 0.85. */
  readonly failureRate?: number;
  /** Fewer calls in an interval tell nothing. 1 or more. Default 50. */
  readonly minCalls?: number;
  /** How long the first time, milliseconds, above 0; each further time as much longer, less for each interval it did well. Default 30000. */
  readonly ejectionMs?: number;
  /** Never longer than this. Default 300000. */
  readonly maxEjectionMs?: number;
  /** At most this share of all is out at a time, but always one, and never all; 0 to 1. Default 0.1. */
  readonly maxShare?: number;
  /** Told of each ejection. Must not throw. */
  readonly onEject?: (ejected: Ejected) => void;
  /** Told of each instance whose time is up. Must not throw. */
  readonly onReturn?: (instance: Instance) => void;
}

type Settings = Required<Omit<EjectionOptions, "onEject" | "onReturn">>;

/** An ejection. */
export interface Ejected {
  readonly instance: Instance;
  readonly rule: "consecutive" | "deviation" | "failure_rate";
  /** What was seen, in words with numbers. */
  readonly reason: string;
  readonly forMs: number;
}

interface Tally {
  readonly calls: number;
  readonly failures: number;
}

const nothing: Tally = { calls: 0, failures: 0 };

interface Record {
  /** Of the interval before. */
  last: Tally;
  /** Failures in a row. */
  row: number;
  calls: number;
  failures: number;
  /** How many times the first ejection time it would be out next. */
  times: number;
  outUntilMs: number;
}

const defaults: Settings = {
  intervalMs: 10_000,
  consecutive: 5,
  deviations: 1.9,
  failureRate: 0.85,
  minCalls: 50,
  ejectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxShare: 0.1,
};
/** Of fewer instances a deviation tells nothing: one of four can be no further off than 1.5. */
const MIN_HOSTS = 5;

/**
 * Takes instances out of the balance that fail where others do not. Without timers: it looks at the clock when calls end and
 * when it is asked.
 *
 * Algorithm: outlier detection of Envoy, and gRPC's proposal A50.
 */
export class Ejection<C extends Candidate> {
  readonly #settings: Settings;
  readonly #onEject: EjectionOptions["onEject"];
  readonly #onReturn: EjectionOptions["onReturn"];
  readonly #clock: Clock;
  readonly #random: Random;
  #records = new Map<C, Record>();
  readonly #out = new Set<C>();
  // Of all, since the last sweep.
  #calls = 0;
  #failures = 0;
  #last: Tally = nothing;
  #nextSweepMs: number;
  /** When the first of those that are out may come back. */
  #nextReturnMs = Infinity;

  /** @throws RangeError when an option is not legal, naming it. */
  constructor(options: EjectionOptions, clock: Clock, random: Random) {
    const settings = { ...defaults, ...options };
    const { maxShare } = settings;
    for (const name of ["intervalMs", "consecutive", "deviations", "failureRate", "minCalls", "ejectionMs"] as const) {
      if (!(settings[name] > 0)) throw new RangeError(`ejection: ${name} must be above 0, got ${settings[name]}`);
    }
    if (!(maxShare >= 0 && maxShare <= 1))
      throw new RangeError(`ejection: maxShare must be from 0 to 1, got ${maxShare}`);
    if (!(settings.maxEjectionMs >= settings.ejectionMs)) {
      throw new RangeError(`ejection: maxEjectionMs must not be below ejectionMs, got ${settings.maxEjectionMs}`);
    }
    this.#settings = settings;
    this.#onEject = options.onEject;
    this.#onReturn = options.onReturn;
    this.#clock = clock;
    this.#random = random;
    this.#nextSweepMs = clock.now() + settings.intervalMs;
  }

  /** Those that are out now. */
  get out(): ReadonlySet<C> {
    return this.#out;
  }

  /** Ends an ejection before its time. @returns whether `out` has changed. */
  readmit(candidate: C): boolean {
    if (!this.#out.delete(candidate)) return false;
    this.#onReturn?.(candidate.instance);
    return true;
  }

  /** All there are now. Those that stay keep their record. */
  update(candidates: Iterable<C>): void {
    const before = this.#records;
    this.#records = new Map();
    for (const candidate of candidates) {
      const record = before.get(candidate) ?? { last: nothing, row: 0, calls: 0, failures: 0, times: 0, outUntilMs: 0 };
      this.#records.set(candidate, record);
      before.delete(candidate);
    }
    for (const { calls, failures, last } of before.values()) {
      this.#calls -= calls;
      this.#failures -= failures;
      this.#last = { calls: this.#last.calls - last.calls, failures: this.#last.failures - last.failures };
    }
    for (const candidate of this.#out) if (!this.#records.has(candidate)) this.#out.delete(candidate);
  }

  /** A call has ended. @returns whether `out` has changed. */
  record(candidate: C, failed: boolean): boolean {
    const record = this.#records.get(candidate);
    if (record === undefined) return this.look();
    record.calls++;
    this.#calls++;
    if (!failed) {
      record.row = 0;
      return this.look();
    }
    record.failures++;
    this.#failures++;
    record.row++;
    const changed = this.look();
    if (record.row < this.#settings.consecutive || this.#out.has(candidate) || this.#isCommon(record)) return changed;
    return this.#eject(candidate, record, "consecutive", `${record.row} calls in a row failed`) || changed;
  }

  /** Whether the others fail half as often, too: then it is the service that fails, and the rest would only bear its load. */
  #isCommon({ last, calls, failures }: Record): boolean {
    const own = last.calls + calls;
    const ownFailures = last.failures + failures;
    const others = this.#last.calls + this.#calls - own;
    const othersFailures = this.#last.failures + this.#failures - ownFailures;
    return others > 0 && othersFailures / others >= ownFailures / own / 2;
  }

  /** Brings things up to date with the clock. @returns whether `out` has changed. */
  look(): boolean {
    const now = this.#clock.now();
    let changed = false;
    if (now >= this.#nextReturnMs) {
      this.#nextReturnMs = Infinity;
      for (const candidate of this.#out) {
        const record = this.#records.get(candidate)!;
        if (now < record.outUntilMs) this.#nextReturnMs = Math.min(this.#nextReturnMs, record.outUntilMs);
        else {
          this.#out.delete(candidate);
          record.row = 0;
          changed = true;
          this.#onReturn?.(candidate.instance);
        }
      }
    }
    if (now >= this.#nextSweepMs) {
      this.#nextSweepMs = now + this.#settings.intervalMs;
      changed = this.#sweep() || changed;
    }
    return changed;
  }

  #sweep(): boolean {
    const { minCalls, deviations, failureRate } = this.#settings;
    let changed = false;
    const told: { candidate: C; record: Record; ok: number }[] = [];
    for (const [candidate, record] of this.#records) {
      if (record.calls >= minCalls) told.push({ candidate, record, ok: 1 - record.failures / record.calls });
      else if (!this.#out.has(candidate) && record.times > 0) record.times--;
    }
    if (told.length >= MIN_HOSTS) {
      const mean = told.reduce((sum, { ok }) => sum + ok, 0) / told.length;
      const sigma = Math.sqrt(told.reduce((sum, { ok }) => sum + (ok - mean) ** 2, 0) / told.length);
      for (const { candidate, record, ok } of told) {
        const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
        let ejected = false;
        if (sigma > 0 && ok < mean - deviations * sigma) {
          const why = `${percent(ok)} of its calls succeed, of all ${percent(mean)}`;
          ejected = this.#eject(candidate, record, "deviation", why);
        } else if (1 - ok >= failureRate) {
          ejected = this.#eject(candidate, record, "failure_rate", `${percent(1 - ok)} of its calls fail`);
        }
        if (ejected) changed = true;
        else if (!this.#out.has(candidate) && record.times > 0) record.times--;
      }
    }
    this.#last = { calls: this.#calls, failures: this.#failures };
    this.#calls = 0;
    this.#failures = 0;
    for (const record of this.#records.values()) {
      record.last = { calls: record.calls, failures: record.failures };
      record.calls = 0;
      record.failures = 0;
    }
    return changed;
  }

  #eject(candidate: C, record: Record, rule: Ejected["rule"], reason: string): boolean {
    const { maxShare, ejectionMs, maxEjectionMs } = this.#settings;
    const all = this.#records.size;
    if (this.#out.has(candidate) || this.#out.size >= Math.min(all - 1, Math.max(1, Math.floor(all * maxShare))))
      return false;
    record.times++;
    // Up to a tenth longer by chance: those ejected together do not come back together.
    const forMs = Math.min(maxEjectionMs, ejectionMs * record.times) * (1 + 0.1 * this.#random.next());
    record.outUntilMs = this.#clock.now() + forMs;
    this.#nextReturnMs = Math.min(this.#nextReturnMs, record.outUntilMs);
    this.#out.add(candidate);
    this.#onEject?.({ instance: candidate.instance, rule, reason, forMs });
    return true;
  }
}
