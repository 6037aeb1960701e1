import type { Clock } from "../../clock/clock.ts";
import type { Measure, Policy, PolicyMetric } from "../../endpoint/policy.ts";
import { KeyTable } from "./key-table.ts";
import { checkCost, type Decision, type LocalRateLimiter } from "./limiter.ts";
import type { RateSettings } from "./options.ts";

const KEYS: PolicyMetric = {
  name: "flotilla.rate_limit.keys",
  kind: "sum",
  unit: "{key}",
  description: "Keys that rate limiters remember.",
};
const FORGOTTEN: PolicyMetric = {
  name: "flotilla.rate_limit.forgotten",
  kind: "counter",
  unit: "{key}",
  description: "Keys that were forgotten for want of room while they had units to pay back.",
};

/** What the limiters of this process have in common: numbers by key, and a clock that starts at 0. */
export abstract class TableLimiter implements LocalRateLimiter, Policy {
  readonly name = "rate_limiter";
  readonly metrics = [KEYS, FORGOTTEN];
  readonly policies = [this];
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
  protected readonly table: KeyTable;
  readonly clock: Clock;
  // Near 0 doubles are exact to a small part of a nanosecond, which at 10^12 they are not.
  readonly #originMs: number;

  /** The others as in `KeyTable`: numbers a key has, and how many units it has to pay back. */
  constructor(settings: RateSettings, columns: number, debt: ConstructorParameters<typeof KeyTable>[2]) {
    const { limit, windowMs, burst, maxKeys, clock } = settings;
    this.limit = limit;
    this.windowMs = windowMs;
    this.burst = burst;
    this.clock = clock;
    this.#originMs = clock.now();
    this.table = new KeyTable(columns, maxKeys, debt);
  }

  get size(): number {
    return this.table.size;
  }

  get forgotten(): number {
    return this.table.forgotten;
  }

  take(key: string, cost = 1): Decision {
    return this.takeAt(this.clock.now(), key, cost);
  }

  /** As `take`, by a reading of its clock that is at hand. */
  takeAt(clockMs: number, key: string, cost: number): Decision {
    checkCost(cost, this.burst);
    return this.decide(clockMs - this.#originMs, key, cost);
  }

  measure(to: Measure): void {
    to(KEYS, this.size);
    to(FORGOTTEN, this.forgotten);
  }

  describe(): readonly Readonly<Record<string, unknown>>[] {
    const { limit, windowMs, burst, size, forgotten } = this;
    return [{ limit, windowMs, burst, keys: size, forgotten }];
  }

  /** @param now - milliseconds since the limiter was made. */
  protected abstract decide(now: number, key: string, cost: number): Decision;
}
