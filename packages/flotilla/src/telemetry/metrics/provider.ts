import {
  type BatchObservableCallback,
  type Meter,
  type MeterProvider,
  type MetricOptions,
  type Observable,
  ValueType,
} from "@opentelemetry/api";
import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import type { MetricData, Scope } from "../model.ts";
import {
  type Batch,
  type Collected,
  ExponentialInstrument,
  GaugeInstrument,
  HistogramInstrument,
  type Identity,
  ObservableInstrument,
  SumInstrument,
} from "./instruments.ts";
import type { MetricsShared } from "./series.ts";

/** Meters and instruments of one provider; more share nothing with anybody and are not collected. */
const MAX_METERS = 1000;
const MAX_INSTRUMENTS = 2000;
/** How long asynchronous callbacks may take by default, milliseconds. */
const CALLBACK_TIMEOUT_MS = 5000;
/** Instrument names of the specification: a letter, then up to 254 letters, digits, `_`, `.`, `-`, `/`. */
const NAME = /^[A-Za-z][\w./-]{0,254}$/;

/** Bounds of histograms that say nothing else (OpenTelemetry, Metrics SDK, "Explicit Bucket Histogram Aggregation"). */
const DEFAULT_BOUNDS = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];
/** Bounds of durations in seconds (semantic conventions, `http.server.request.duration`). */
export const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** Options of {@link createMeterProvider}. */
export interface MeterProviderOptions {
  /** Series of one instrument; measurements of further ones are counted together. 2 or more. Default 2000. */
  readonly maxSeries?: number;
  /**
   * How distributions are kept: in `explicit` buckets, whose bounds are those that the instrument advises, or in `exponential` ones,
   * which need none. Default `explicit`.
   */
  readonly histograms?: "explicit" | "exponential";
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Told, once each, of instruments that contradict others or have no legal name. Default: nobody. */
  onWarning?(message: string): void;
}

/** The built-in meter provider, behind the OpenTelemetry API. */
export interface LeanMeterProvider extends MeterProvider {
  getMeter(name: string, version?: string, options?: { schemaUrl?: string }): LeanMeter;
  /**
   * Asks all observable instruments and gives what every instrument has to say. Cumulative; see `deltas`.
   *
   * @param timeoutMs - how long asynchronous callbacks may take, milliseconds; what they observe later is not collected. Default 5000, which is
   * the most, too.
   */
  collect(timeoutMs?: number): Promise<MetricData[]>;
  /** Measurements that were not counted where they belong, since the start. */
  readonly counts: { readonly overflowed: number; readonly invalid: number; readonly failedCallbacks: number };
}

/** Makes a meter provider. @throws RangeError when an option is not legal, naming it. */
export function createMeterProvider(options: MeterProviderOptions = {}): LeanMeterProvider {
  return new Provider(options);
}

class Provider implements LeanMeterProvider {
  readonly counts = { overflowed: 0, invalid: 0, failedCallbacks: 0 };
  readonly shared: MetricsShared;
  readonly exponential: boolean;
  readonly #meters = new Map<string, LeanMeter>();
  readonly #warned = new Set<string>();
  readonly #onWarning: (message: string) => void;

  constructor(options: MeterProviderOptions) {
    const { maxSeries = 2000, histograms = "explicit", clock = systemClock } = options;
    if (!(Number.isInteger(maxSeries) && maxSeries >= 2)) {
      throw new RangeError(`createMeterProvider: maxSeries must be a whole number of 2 or more, got ${maxSeries}`);
    }
    this.exponential = histograms === "exponential";
    this.#onWarning = (message) => options.onWarning?.(message);
    this.shared = { clock, maxSeries, startEpochMs: clock.epoch(), counts: this.counts };
  }

  getMeter(name: string, version?: string, options?: { schemaUrl?: string }): LeanMeter {
    const scope: Scope = { name, version, schemaUrl: options?.schemaUrl };
    const key = JSON.stringify(scope);
    let meter = this.#meters.get(key);
    if (meter === undefined) {
      meter = new LeanMeter(scope, this);
      if (this.#meters.size < MAX_METERS) this.#meters.set(key, meter);
      else this.warn(`more than ${MAX_METERS} meters: ${name} is not collected`);
    }
    return meter;
  }

  warn(message: string): void {
    if (this.#warned.has(message) || this.#warned.size > 100) return;
    this.#warned.add(message);
    this.#onWarning(message);
  }

  async collect(timeoutMs = CALLBACK_TIMEOUT_MS): Promise<MetricData[]> {
    const meters = Array.from(this.#meters.values());
    await Promise.all(meters.map((meter) => meter.ask(Math.min(timeoutMs, CALLBACK_TIMEOUT_MS))));
    const epochMs = this.shared.clock.epoch();
    return meters.flatMap((meter) => meter.collect(epochMs));
  }
}

/** A meter of the built-in provider. Instruments of one name are one instrument; asking again gives it again. */
export class LeanMeter implements Meter {
  readonly #scope: Scope;
  readonly #provider: Provider;
  readonly #instruments = new Map<string, Collected>();
  readonly #batches: Batch[] = [];

  constructor(scope: Scope, provider: Provider) {
    this.#scope = scope;
    this.#provider = provider;
  }

  createCounter(name: string, options: MetricOptions = {}): SumInstrument {
    const { shared } = this.#provider;
    return this.#make(name, "counter", options, (id) => new SumInstrument(id, shared, true, isInteger(options)));
  }

  createUpDownCounter(name: string, options: MetricOptions = {}): SumInstrument {
    const { shared } = this.#provider;
    return this.#make(
      name,
      "up-down counter",
      options,
      (id) => new SumInstrument(id, shared, false, isInteger(options)),
    );
  }

  createGauge(name: string, options: MetricOptions = {}): GaugeInstrument {
    const { shared } = this.#provider;
    return this.#make(name, "gauge", options, (id) => new GaugeInstrument(id, shared, isInteger(options)));
  }

  createHistogram(name: string, options: MetricOptions = {}): HistogramInstrument | ExponentialInstrument {
    const { shared, exponential } = this.#provider;
    const advised = options.advice?.explicitBucketBoundaries;
    return this.#make(name, "histogram", options, (id) => {
      if (exponential) return new ExponentialInstrument(id, shared);
      return new HistogramInstrument(id, shared, this.#bounds(name, advised));
    });
  }

  #bounds(name: string, advised: readonly number[] | undefined): readonly number[] {
    if (advised === undefined) return DEFAULT_BOUNDS;
    const legal =
      Array.isArray(advised) && advised.every((bound, i) => Number.isFinite(bound) && !(bound <= advised[i - 1]!));
    if (legal && advised.length <= 1000) return advised.slice();
    this.#provider.warn(
      `${name}: bounds of buckets must be finite, ascending, and no more than 1000: the default ones are used`,
    );
    return DEFAULT_BOUNDS;
  }

  createObservableCounter(name: string, options: MetricOptions = {}): ObservableInstrument {
    return this.#observable(name, "counter", options);
  }

  createObservableUpDownCounter(name: string, options: MetricOptions = {}): ObservableInstrument {
    return this.#observable(name, "up-down", options);
  }

  createObservableGauge(name: string, options: MetricOptions = {}): ObservableInstrument {
    return this.#observable(name, "gauge", options);
  }

  #observable(name: string, type: "counter" | "up-down" | "gauge", options: MetricOptions): ObservableInstrument {
    const { shared } = this.#provider;
    const sort = `observable ${type}`;
    return this.#make(name, sort, options, (id) => new ObservableInstrument(id, shared, type, isInteger(options)));
  }

  addBatchObservableCallback(callback: BatchObservableCallback, observables: Observable[]): void {
    this.#batches.push({ callback, observables: new Set(observables) });
  }

  removeBatchObservableCallback(callback: BatchObservableCallback, observables: Observable[]): void {
    const i = this.#batches.findIndex(
      (batch) =>
        batch.callback === callback &&
        batch.observables.size === observables.length &&
        observables.every((observable) => batch.observables.has(observable)),
    );
    if (i >= 0) this.#batches.splice(i, 1);
  }

  /** The instrument of this name; one that contradicts it, or has no legal name, works but is not collected. */
  #make<I extends Collected>(name: string, sort: string, options: MetricOptions, make: (id: Identity) => I): I {
    const { description = "", unit = "" } = options;
    const identity: Identity = { name, description, unit, scope: this.#scope };
    if (!NAME.test(name)) {
      this.#provider.warn(
        `instrument ${JSON.stringify(name)}: a name is a letter and up to 254 letters, digits, _ . - /: it is not collected`,
      );
      return make(identity);
    }
    const key = name.toLowerCase();
    const known = this.#instruments.get(key);
    if (known !== undefined) {
      if (known.sort === sort) return known as I;
      this.#provider.warn(`instrument ${name} is a ${known.sort} already: the ${sort} of this name is not collected`);
      return make(identity);
    }
    const instrument = make(identity);
    if (this.#instruments.size < MAX_INSTRUMENTS) this.#instruments.set(key, instrument);
    else
      this.#provider.warn(`more than ${MAX_INSTRUMENTS} instruments of ${this.#scope.name}: ${name} is not collected`);
    return instrument;
  }

  /** Asks the observable instruments. Never rejects. */
  async ask(timeoutMs: number): Promise<void> {
    const pending: Promise<void>[] = [];
    for (const instrument of this.#instruments.values()) {
      if (!(instrument instanceof ObservableInstrument)) continue;
      instrument.forget();
      const result = {
        observe: (value: number, attributes?: object) => instrument.observe(value, attributes as never),
      };
      for (const callback of instrument.callbacks) pending.push(this.#call(() => callback(result)));
    }
    for (const { callback, observables } of this.#batches) {
      const result = {
        observe(observable: Observable, value: number, attributes?: object): void {
          if (observables.has(observable)) (observable as ObservableInstrument).observe(value, attributes as never);
        },
      };
      pending.push(this.#call(() => callback(result)));
    }
    if (pending.length === 0) return;
    const { clock } = this.#provider.shared;
    await new Promise<void>((resolve) => {
      const timer = clock.schedule(timeoutMs, resolve);
      void Promise.all(pending).then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  async #call(callback: () => unknown): Promise<void> {
    try {
      await callback();
    } catch {
      this.#provider.counts.failedCallbacks++;
    }
  }

  collect(epochMs: number): MetricData[] {
    const data: MetricData[] = [];
    for (const instrument of this.#instruments.values()) {
      const told = instrument.collect(epochMs);
      if (told !== undefined) data.push(told);
    }
    return data;
  }
}

function isInteger({ valueType }: MetricOptions): boolean {
  return valueType === ValueType.INT;
}
