import type { Clock } from "../../clock/clock.ts";
import { Changes } from "../../endpoint/changes.ts";
import type { Measure, Policy, PolicyMetric } from "../../endpoint/policy.ts";
import { priorities } from "../../metadata/priority.ts";
import type { GateState } from "./gate.ts";

const calls = (name: string, kind: PolicyMetric["kind"], description: string): PolicyMetric => ({
  name: `flotilla.concurrency_limit.${name}`,
  kind,
  unit: "{call}",
  description,
});
const LIMIT = calls("limit", "sum", "Calls that may be in flight.");
const IN_FLIGHT = calls("in_flight", "sum", "Calls in flight that count towards a limit.");
const QUEUED = calls("queued", "sum", "Calls that wait for room.");
const REFUSED = calls("refused", "counter", "Calls that were refused for want of room.");

/** Without a refusal for so long, an overload is over. */
const QUIET_MS = 10_000;

/** What a concurrency limit tells of itself, and when it is overloaded: from the first refusal until there was none for 10 s. */
export class LimitPolicy implements Policy {
  readonly name = "concurrency_limit";
  readonly metrics = [LIMIT, IN_FLIGHT, QUEUED, REFUSED];
  /** Whether calls were refused lately. */
  overloaded = false;
  readonly #clock: Clock;
  readonly #side: "server" | "client";
  readonly #state: () => GateState;
  readonly #changes = new Changes();
  readonly listen = this.#changes.listen;
  #sinceMs = 0;
  #lastMs = 0;
  #refused = 0;

  constructor(clock: Clock, side: "server" | "client", state: () => GateState) {
    this.#clock = clock;
    this.#side = side;
    this.#state = state;
  }

  measure(to: Measure): void {
    this.look();
    const { limit, inFlight, queued, refused } = this.#state();
    const side = { "flotilla.side": this.#side };
    to(LIMIT, limit, side);
    to(IN_FLIGHT, inFlight, side);
    to(QUEUED, queued, side);
    for (const priority of priorities) to(REFUSED, refused[priority], { ...side, "flotilla.priority": priority });
  }

  describe(): readonly Readonly<Record<string, unknown>>[] {
    this.look();
    return [{ side: this.#side, overloaded: this.overloaded, ...this.#state() }];
  }

  /** A call is refused, for the reason given. */
  refused(why: string): void {
    this.look();
    this.#lastMs = this.#clock.now();
    this.#refused++;
    if (this.overloaded) return;
    this.overloaded = true;
    this.#sinceMs = this.#lastMs;
    this.#refused = 1;
    const { limit } = this.#state();
    this.#changes.warn(`${this.#where}: calls are refused with ${limit} allowed at a time: ${why}`);
  }

  /** Finds out whether the overload is over. */
  look(): void {
    if (!this.overloaded || this.#clock.now() - this.#lastMs < QUIET_MS) return;
    this.overloaded = false;
    const seconds = ((this.#lastMs - this.#sinceMs) / 1000).toFixed(1);
    this.#changes.notice(`${this.#where} is over: ${this.#refused} calls were refused in ${seconds} s`);
  }

  get #where(): string {
    return this.#side === "server" ? "overload" : "overload of those called";
  }
}
