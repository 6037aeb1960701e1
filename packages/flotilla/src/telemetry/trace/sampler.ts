import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { SAMPLED } from "./active-span.ts";

/** Decides, when a span starts, whether it is recorded and exported. Must not throw. */
export interface Sampler {
  /** Of the form that the OpenTelemetry SDKs print, such as `TraceIdRatioBased{0.1}`. */
  readonly description: string;
  /**
   * @param traceId - 32 hex digits.
   * @param parentFlags - the parent's W3C flags; -1 for a root.
   * @param parentIsRemote - whether the parent came over the wire; false for a root.
   * @param kind - SpanKind of the OpenTelemetry API.
   */
  sample(traceId: string, parentFlags: number, parentIsRemote: boolean, name: string, kind: number): boolean;
}

/** Samples every span. */
export const always: Sampler = { description: "AlwaysOnSampler", sample: () => true };

/** Samples no span. Trace ids still go on to the services behind. */
export const never: Sampler = { description: "AlwaysOffSampler", sample: () => false };

/**
 * Samples a share of the traces, chosen by trace id: the same traces as the official JavaScript SDK's `TraceIdRatioBasedSampler`, so
 * that services decide alike. A trace in a smaller share is in every larger one too. The last 32 bits of the id being random is enough,
 * as W3C's random flag promises.
 *
 * @param share - 0 to 1.
 * @throws RangeError when it is not.
 */
export function ratio(share: number): Sampler {
  checkShare("ratio", share);
  const bound = shareBound(share);
  return { description: `TraceIdRatioBased{${share}}`, sample: (traceId) => traceHash(traceId) < bound };
}

/** Which sampler decides, by the parent. */
export interface ParentBasedOptions {
  /** There is no parent. Default {@link always}. */
  root?: Sampler;
  /** Default {@link always}. */
  remoteSampled?: Sampler;
  /** Default {@link never}. */
  remoteNotSampled?: Sampler;
  /** Default {@link always}. */
  localSampled?: Sampler;
  /** Default {@link never}. */
  localNotSampled?: Sampler;
}

/** Does as the parent does, so that a trace is sampled whole or not at all. */
export function parentBased(options: ParentBasedOptions = {}): Sampler {
  const root = options.root ?? always;
  const remoteSampled = options.remoteSampled ?? always;
  const remoteNotSampled = options.remoteNotSampled ?? never;
  const localSampled = options.localSampled ?? always;
  const localNotSampled = options.localNotSampled ?? never;
  return {
    description:
      `ParentBased{root=${root.description}, remoteParentSampled=${remoteSampled.description}, ` +
      `remoteParentNotSampled=${remoteNotSampled.description}, localParentSampled=${localSampled.description}, ` +
      `localParentNotSampled=${localNotSampled.description}}`,
    sample(traceId, parentFlags, parentIsRemote, name, kind) {
      let sampler = root;
      if (parentFlags >= 0) {
        if ((parentFlags & SAMPLED) === 0) sampler = parentIsRemote ? remoteNotSampled : localNotSampled;
        else sampler = parentIsRemote ? remoteSampled : localSampled;
      }
      return sampler.sample(traceId, parentFlags, parentIsRemote, name, kind);
    },
  };
}

/** Options of {@link rateLimited}. */
export interface RateLimitedOptions {
  /** Traces that may come at once after a pause. Default: those of one second, at least 1. */
  burst?: number;
  /** Default: the system's. */
  clock?: Clock;
}

/**
 * Samples up to so many traces a second (a token bucket). Use it as the `root` of {@link parentBased}, else it counts spans.
 *
 * @param perSecond - 0 or more; fractions are fine: 0.1 is one in ten seconds.
 * @throws RangeError when it is not, or when `burst` is below 1.
 */
export function rateLimited(perSecond: number, options: RateLimitedOptions = {}): Sampler {
  const { burst = Math.max(1, perSecond), clock = systemClock } = options;
  if (!(perSecond >= 0 && perSecond < Infinity))
    throw new RangeError(`rateLimited: perSecond must be a finite number of 0 or more, got ${perSecond}`);
  if (!(burst >= 1 && burst < Infinity))
    throw new RangeError(`rateLimited: burst must be a finite number of 1 or more, got ${burst}`);
  let tokens = perSecond === 0 ? 0 : burst;
  let filledAt = clock.now();
  return {
    description: `RateLimited{${perSecond}}`,
    sample() {
      const now = clock.now();
      tokens = Math.min(burst, tokens + ((now - filledAt) * perSecond) / 1_000);
      filledAt = now;
      if (tokens < 1) return false;
      tokens--;
      return true;
    },
  };
}

/** @throws RangeError when it is no number from 0 to 1. */
export function checkShare(option: string, share: number): void {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`${option}: must be a number from 0 to 1, got ${share}`);
}

/** Trace hashes below this are in the share. */
export function shareBound(share: number): number {
  return share === 1 ? 2 ** 32 : Math.floor(share * 0xffff_ffff);
}

/** The four words of a trace id, exclusive-or: evenly spread if any of them is. */
export function traceHash(traceId: string): number {
  let hash = 0;
  for (let i = 0; i < 8; i++) {
    const digits = digit(traceId, i) ^ digit(traceId, i + 8) ^ digit(traceId, i + 16) ^ digit(traceId, i + 24);
    hash = (hash << 4) | digits;
  }
  return hash >>> 0;
}

/** The value of a hex digit: letters have the bit 64, and their low bits count from 1. */
function digit(hex: string, at: number): number {
  const char = hex.charCodeAt(at);
  return ((char & 15) + 9 * (char >> 6)) & 15;
}
