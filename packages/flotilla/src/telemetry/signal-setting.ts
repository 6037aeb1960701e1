import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { Environment, Resource } from "./model.ts";
import type { OtlpEnvironment } from "./otlp/env.ts";

/** What tracing, metrics and logging are each set up with. */
export interface SignalSetting {
  readonly resource: Resource;
  readonly env: Environment;
  readonly otlp: OtlpEnvironment;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of what could not be written or exported. */
  readonly onError: (error: Error) => void;
}

/** The exporters that a variable names; `otlp` when it names none and there is an endpoint. */
export function exportersOf(env: Environment, variable: string, endpointGiven: boolean): readonly string[] {
  const text = env[variable]?.trim() ?? "";
  if (text === "") return endpointGiven ? ["otlp"] : [];
  return text.split(",").map((name) => name.trim().toLowerCase());
}
