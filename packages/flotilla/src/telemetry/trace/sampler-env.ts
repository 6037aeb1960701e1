import type { Environment } from "../model.ts";
import { always, never, parentBased, ratio, type Sampler } from "./sampler.ts";

/** What {@link samplerFromEnv} found. */
export interface SamplerFromEnv {
  /** Undefined when the environment names none, or none that is known: use the default. */
  readonly sampler: Sampler | undefined;
  /** What is wrong, a sentence for each variable; empty when all is well. */
  readonly errors: readonly string[];
}

const NAMES =
  "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio";

/**
 * The sampler that `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` ask for (OpenTelemetry's environment variable specification).
 * A bad value is reported and then treated as unset, as the specification demands: it never keeps a service from starting.
 */
export function samplerFromEnv(env: Environment): SamplerFromEnv {
  const name = env["OTEL_TRACES_SAMPLER"]?.trim().toLowerCase() ?? "";
  const errors: string[] = [];
  const share = (): Sampler => {
    const text = env["OTEL_TRACES_SAMPLER_ARG"]?.trim() ?? "";
    if (text === "") return ratio(1);
    const value = Number(text);
    if (value >= 0 && value <= 1) return ratio(value);
    errors.push(
      `OTEL_TRACES_SAMPLER_ARG is ${JSON.stringify(text)}: for ${name} it must be a number from 0 to 1; all is sampled`,
    );
    return ratio(1);
  };
  const sampler = byName(name, share);
  if (sampler === undefined && name !== "") {
    errors.push(`OTEL_TRACES_SAMPLER is ${JSON.stringify(name)}, which is none of ${NAMES}; the default is used`);
  }
  return { sampler, errors };
}

function byName(name: string, share: () => Sampler): Sampler | undefined {
  switch (name) {
    case "always_on":
      return always;
    case "always_off":
      return never;
    case "traceidratio":
      return share();
    case "parentbased_always_on":
      return parentBased();
    case "parentbased_always_off":
      return parentBased({ root: never });
    case "parentbased_traceidratio":
      return parentBased({ root: share() });
    default:
      return undefined;
  }
}
