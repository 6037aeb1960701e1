import {
  type Attributes,
  type BatchObservableCallback,
  type Meter,
  type MetricOptions,
  type Observable,
  ValueType,
} from "@opentelemetry/api";
import type { Policy, PolicyMetric } from "../../endpoint/policy.ts";
import type { StateReport } from "../../endpoint/state-report.ts";
import { whereOf } from "../calls/rpc-attributes.ts";
import { CounterTotals } from "./counter-totals.ts";

type Report = (to: StateReport) => void;

/**
 * The state of hosts and channels, asked when metrics are collected: connections on either side, calls that wait for one, instances a
 * service, and what policies around calls have to tell. What several channels have of one kind is added up; instances are those of the
 * channel that knows most. What counters have counted stays when those who counted go.
 */
export class StateMetrics {
  readonly #meter: Meter;
  readonly #reports: ReadonlySet<Report>;
  readonly #served: Observable;
  readonly #open: Observable;
  readonly #waiting: Observable;
  readonly #instances: Observable;
  /** Of policies, by name. */
  readonly #told = new Map<string, Observable>();
  readonly #totals = new CounterTotals();
  readonly #collect: BatchObservableCallback = (result) => this.#observe(result);
  #observables: Observable[];

  /** @param reports - all there are at any time. */
  constructor(meter: Meter, reports: ReadonlySet<Report>) {
    this.#meter = meter;
    this.#reports = reports;
    const counter = (name: string, unit: string, description: string): Observable =>
      meter.createObservableUpDownCounter(name, { unit, description, valueType: ValueType.INT });
    this.#served = counter(
      "flotilla.server.connections",
      "{connection}",
      "Connections of the listeners that are open.",
    );
    this.#open = counter("http.client.open_connections", "{connection}", "Connections to others that are open.");
    this.#waiting = counter("flotilla.client.waiting_calls", "{call}", "Calls that wait for a connection.");
    this.#instances = counter("flotilla.client.instances", "{instance}", "Instances that calls are balanced over.");
    this.#observables = [this.#served, this.#open, this.#waiting, this.#instances];
    meter.addBatchObservableCallback(this.#collect, this.#observables);
  }

  /** Makes the instruments of what is told from now on: they must be there before they are asked. */
  begin(report: Report): void {
    const added: Observable[] = [];
    report({
      ...silent,
      policy: ({ metrics }) => {
        for (const metric of metrics) {
          if (this.#told.has(metric.name)) continue;
          const observable = instrumentOf(this.#meter, metric);
          this.#told.set(metric.name, observable);
          added.push(observable);
        }
      },
    });
    if (added.length === 0) return;
    this.#meter.removeBatchObservableCallback(this.#collect, this.#observables);
    this.#observables = [...this.#observables, ...added];
    this.#meter.addBatchObservableCallback(this.#collect, this.#observables);
  }

  /** Takes down what was counted since the last collection: this report will not be asked again. */
  end(report: Report): void {
    report({ ...silent, policy: (policy) => this.#count(policy, undefined) });
  }

  #observe(result: Parameters<BatchObservableCallback>[0]): void {
    const moment = new Moment();
    const seen = new Set<Policy>();
    const to: StateReport = {
      listener: (address, connections) => moment.of(this.#served, where(address)).add(connections),
      pool: (address, state) => {
        const at = where(address);
        moment.of(this.#open, { ...at, "http.connection.state": "idle" }).add(state.idle);
        moment.of(this.#open, { ...at, "http.connection.state": "active" }).add(state.open - state.idle);
        moment.of(this.#waiting, at).add(state.waiting);
      },
      instances: (service, up, down) => {
        const about = { "rpc.service": service };
        moment.of(this.#instances, { ...about, "flotilla.instance.state": "up" }).atLeast(up);
        moment.of(this.#instances, { ...about, "flotilla.instance.state": "down" }).atLeast(down);
      },
      policy: (policy) => {
        // One middleware may stand in several places.
        if (seen.has(policy)) return;
        seen.add(policy);
        this.#count(policy, moment);
      },
    };
    for (const report of this.#reports) report(to);
    for (const { metric, value, attributes } of this.#totals.values()) {
      const observable = this.#told.get(metric.name);
      if (observable !== undefined) result.observe(observable, value, attributes);
    }
    for (const { observable, value, attributes } of moment.values) result.observe(observable, value, attributes);
  }

  /** Takes down the numbers of a policy; those that go up and down only where there is a moment to take them down for. */
  #count(policy: Policy, moment: Moment | undefined): void {
    policy.measure((metric, value, attributes = {}) => {
      if (metric.kind === "counter") return this.#totals.see(policy, metric, value, attributes);
      const observable = this.#told.get(metric.name);
      if (moment === undefined || observable === undefined) return;
      const observed = moment.of(observable, attributes);
      if (metric.kind === "sum") observed.add(value);
      else if (metric.kind === "greatest") observed.atLeast(value);
      else observed.atMost(value);
    });
  }
}

const silent: StateReport = { listener() {}, pool() {}, instances() {}, policy() {} };

function instrumentOf(meter: Meter, { name, kind, unit, description }: PolicyMetric): Observable {
  const about: MetricOptions = { unit, description };
  if (kind === "counter") return meter.createObservableCounter(name, { ...about, valueType: ValueType.INT });
  if (kind === "sum") return meter.createObservableUpDownCounter(name, { ...about, valueType: ValueType.INT });
  return meter.createObservableGauge(name, about);
}

/** A series at one moment. */
class Observed {
  readonly observable: Observable;
  readonly attributes: Attributes;
  #value: number | undefined;

  constructor(observable: Observable, attributes: Attributes) {
    this.observable = observable;
    this.attributes = attributes;
  }

  get value(): number {
    return this.#value ?? 0;
  }

  add(value: number): void {
    this.#value = (this.#value ?? 0) + value;
  }

  atLeast(value: number): void {
    this.#value = Math.max(this.#value ?? value, value);
  }

  atMost(value: number): void {
    this.#value = Math.min(this.#value ?? value, value);
  }
}

/** What all reports have said of one moment. */
class Moment {
  readonly #observed = new Map<Observable, Map<string, Observed>>();

  get values(): readonly Observed[] {
    return Array.from(this.#observed.values()).flatMap((series) => Array.from(series.values()));
  }

  of(observable: Observable, attributes: Attributes): Observed {
    let series = this.#observed.get(observable);
    if (series === undefined) this.#observed.set(observable, (series = new Map()));
    const key = JSON.stringify(attributes);
    let observed = series.get(key);
    if (observed === undefined) series.set(key, (observed = new Observed(observable, attributes)));
    return observed;
  }
}

function where(address: string): Attributes {
  const { host, port } = whereOf(address);
  return { "server.address": host, ...(port > 0 && { "server.port": port }) };
}
