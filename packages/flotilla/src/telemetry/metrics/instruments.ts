import {
  type Attributes,
  type BatchObservableCallback,
  type Context,
  type Counter,
  context,
  type Gauge,
  type Histogram,
  type Observable,
  type ObservableCallback,
  trace,
  type UpDownCounter,
} from "@opentelemetry/api";
import type { MetricData, Scope } from "../model.ts";
import { ExponentialSeries, HistogramSeries, type MetricsShared, NumberSeries, SeriesMap } from "./series.ts";

/** What an instrument is: its identity in a meter. */
export interface Identity {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  readonly scope: Scope;
}

/** An instrument as its meter sees it. */
export interface Collected {
  /** `counter`, `histogram`, ...; a second instrument of the same name must be the same. */
  readonly sort: string;
  collect(epochMs: number): MetricData | undefined;
}

/** A sum that is added to while the program runs. */
export class SumInstrument implements Counter, UpDownCounter, Collected {
  readonly sort: string;
  readonly #identity: Identity;
  readonly #monotonic: boolean;
  readonly #series: SeriesMap<NumberSeries>;

  constructor(identity: Identity, shared: MetricsShared, monotonic: boolean, integer: boolean) {
    this.sort = monotonic ? "counter" : "up-down counter";
    this.#identity = identity;
    this.#monotonic = monotonic;
    this.#series = new SeriesMap(shared, (list) => new NumberSeries(list, shared, integer, monotonic));
  }

  add(value: number, attributes?: Attributes, _context?: Context): void {
    this.#series.of(attributes).add(value);
  }

  /** The series of these attributes, to be kept: adding to it looks nothing up. */
  bind(attributes?: Attributes): NumberSeries {
    return this.#series.of(attributes);
  }

  collect(epochMs: number): MetricData | undefined {
    const points = Array.from(this.#series.values(), (series) => series.point(epochMs));
    if (points.length === 0) return undefined;
    return { ...this.#identity, type: "sum", monotonic: this.#monotonic, delta: false, points };
  }
}

/** A value that is set. */
export class GaugeInstrument implements Gauge, Collected {
  readonly sort = "gauge";
  readonly #identity: Identity;
  readonly #series: SeriesMap<NumberSeries>;

  constructor(identity: Identity, shared: MetricsShared, integer: boolean) {
    this.#identity = identity;
    this.#series = new SeriesMap(shared, (list) => new NumberSeries(list, shared, integer, false));
  }

  record(value: number, attributes?: Attributes, _context?: Context): void {
    this.#series.of(attributes).set(value);
  }

  bind(attributes?: Attributes): NumberSeries {
    return this.#series.of(attributes);
  }

  collect(epochMs: number): MetricData | undefined {
    const points = Array.from(this.#series.values(), (series) => series.point(epochMs));
    return points.length === 0 ? undefined : { ...this.#identity, type: "gauge", points };
  }
}

/** A distribution over explicit bounds. */
export class HistogramInstrument implements Histogram, Collected {
  readonly sort = "histogram";
  readonly #identity: Identity;
  readonly #series: SeriesMap<HistogramSeries>;

  constructor(identity: Identity, shared: MetricsShared, bounds: readonly number[]) {
    this.#identity = identity;
    this.#series = new SeriesMap(shared, (list) => new HistogramSeries(list, shared, bounds));
  }

  record(value: number, attributes?: Attributes, within?: Context): void {
    this.#series.of(attributes).record(value, trace.getSpanContext(within ?? context.active()));
  }

  bind(attributes?: Attributes): HistogramSeries {
    return this.#series.of(attributes);
  }

  collect(epochMs: number): MetricData | undefined {
    const points = Array.from(this.#series.values())
      .filter(({ count }) => count > 0)
      .map((series) => series.point(epochMs));
    return points.length === 0 ? undefined : { ...this.#identity, type: "histogram", delta: false, points };
  }
}

/** A distribution over bounds that adapt to what is measured. */
export class ExponentialInstrument implements Histogram, Collected {
  readonly sort = "histogram";
  readonly #identity: Identity;
  readonly #series: SeriesMap<ExponentialSeries>;

  constructor(identity: Identity, shared: MetricsShared) {
    this.#identity = identity;
    this.#series = new SeriesMap(shared, (list) => new ExponentialSeries(list, shared));
  }

  record(value: number, attributes?: Attributes, within?: Context): void {
    this.#series.of(attributes).record(value, trace.getSpanContext(within ?? context.active()));
  }

  bind(attributes?: Attributes): ExponentialSeries {
    return this.#series.of(attributes);
  }

  collect(epochMs: number): MetricData | undefined {
    const points = Array.from(this.#series.values())
      .filter(({ count }) => count > 0)
      .map((series) => series.point(epochMs));
    return points.length === 0 ? undefined : { ...this.#identity, type: "exponential", delta: false, points };
  }
}

/** An instrument that is asked when metrics are collected. */
export class ObservableInstrument implements Observable, Collected {
  readonly sort: string;
  readonly #identity: Identity;
  readonly #type: "counter" | "up-down" | "gauge";
  readonly #series: SeriesMap<NumberSeries>;
  readonly #callbacks = new Set<ObservableCallback>();

  constructor(identity: Identity, shared: MetricsShared, type: "counter" | "up-down" | "gauge", integer: boolean) {
    this.sort = `observable ${type}`;
    this.#identity = identity;
    this.#type = type;
    this.#series = new SeriesMap(shared, (list) => new NumberSeries(list, shared, integer, false));
  }

  addCallback(callback: ObservableCallback): void {
    this.#callbacks.add(callback);
  }

  removeCallback(callback: ObservableCallback): void {
    this.#callbacks.delete(callback);
  }

  get callbacks(): ReadonlySet<ObservableCallback> {
    return this.#callbacks;
  }

  /** What was not observed this time is not told. */
  forget(): void {
    this.#series.clear();
  }

  observe(value: number, attributes?: Attributes): void {
    this.#series.of(attributes).set(value);
  }

  collect(epochMs: number): MetricData | undefined {
    const points = Array.from(this.#series.values(), (series) => series.point(epochMs));
    if (points.length === 0) return undefined;
    if (this.#type === "gauge") return { ...this.#identity, type: "gauge", points };
    return { ...this.#identity, type: "sum", monotonic: this.#type === "counter", delta: false, points };
  }
}

/** A callback for several instruments, and which these are. */
export interface Batch {
  readonly callback: BatchObservableCallback;
  readonly observables: ReadonlySet<Observable>;
}
