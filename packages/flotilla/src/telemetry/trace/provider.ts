import type { TracerOptions, TracerProvider } from "@opentelemetry/api";
import type { Clock } from "../../clock/clock.ts";
import { type Random, systemRandom } from "../../clock/random.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { createIds } from "./ids.ts";
import { type SpanLimits, spanLimits } from "./limits.ts";
import { parentBased, type Sampler } from "./sampler.ts";
import type { SpanSink } from "./sink.ts";
import { Timeline } from "./time.ts";
import { LeanTracer, type TracerShared } from "./tracer.ts";

/** Tracers that are remembered by name; more get one of their own each time. */
const MAX_TRACERS = 1_000;

/** Options of {@link createTracerProvider}. */
export interface TracerProviderOptions {
  /** Where spans go when they end. */
  readonly sink: SpanSink;
  /** Which spans are recorded. Default `parentBased()`: as the caller does, and all of the traces that begin here. */
  readonly sampler?: Sampler;
  /** How much a span may hold. Defaults: see {@link SpanLimits}. */
  readonly limits?: Partial<SpanLimits>;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Where ids come from. Default `node:crypto`. */
  readonly random?: Random;
}

/** The built-in tracer provider, behind the OpenTelemetry API. */
export interface LeanTracerProvider extends TracerProvider {
  /** What spans take their times from. */
  readonly clock: Clock;
  /** How many spans began, recorded and not. Only ever grow. */
  readonly counts: { readonly recorded: number; readonly unsampled: number };
  getTracer(name: string, version?: string, options?: TracerOptions): LeanTracer;
  /** Flushes the sink. */
  forceFlush(): Promise<void>;
  /** Closes the sink. @param timeoutMs - see {@link SpanSink.close}. */
  shutdown(timeoutMs?: number): Promise<void>;
}

/**
 * Makes a tracer provider without a span processor or an export of its own: finished spans go to `sink`.
 *
 * @throws RangeError when a limit is out of its range.
 */
export function createTracerProvider(options: TracerProviderOptions): LeanTracerProvider {
  return new Provider(options);
}

class Provider implements LeanTracerProvider {
  readonly clock: Clock;
  readonly counts = { recorded: 0, unsampled: 0 };
  readonly #shared: TracerShared;
  readonly #tracers = new Map<string, LeanTracer>();

  constructor(options: TracerProviderOptions) {
    this.clock = options.clock ?? systemClock;
    this.#shared = {
      timeline: new Timeline(this.clock),
      limits: spanLimits(options.limits),
      sink: options.sink,
      ids: createIds(options.random ?? systemRandom),
      sampler: options.sampler ?? parentBased(),
      counts: this.counts,
    };
  }

  getTracer(given: string, version?: string, options?: TracerOptions): LeanTracer {
    // The specification: a name that is none is the empty string.
    const name = typeof given === "string" ? given : "";
    const schemaUrl = options?.schemaUrl;
    const key = JSON.stringify([name, version, schemaUrl]);
    let tracer = this.#tracers.get(key);
    if (tracer === undefined) {
      tracer = new LeanTracer({ name, version, schemaUrl }, this.#shared);
      if (this.#tracers.size < MAX_TRACERS) this.#tracers.set(key, tracer);
    }
    return tracer;
  }

  forceFlush(): Promise<void> {
    return this.#shared.sink.flush();
  }

  shutdown(timeoutMs?: number): Promise<void> {
    return this.#shared.sink.close(timeoutMs);
  }
}
