import type { OutputOf, Schema } from "../contract/schema.ts";

/** The configuration is not usable. The message lists everything wrong with it, values left out: they may be secrets. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** One line for each thing wrong: `PORT: expected number`. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the configuration is not usable:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.problems = problems;
  }
}

/**
 * Reads configuration from the environment through any Standard Schema: typed, with defaults, checked once at the start.
 *
 * ```ts
 * const config = readConfig(z.object({ PORT: z.coerce.number().default(8080), DATABASE: z.string() }));
 * ```
 *
 * @param source - default `process.env`. An empty string counts as not set.
 * @throws ConfigError listing everything wrong at once. TypeError when the schema is asynchronous.
 */
export function readConfig<S extends Schema>(
  schema: S,
  source: Readonly<Record<string, string | undefined>> = process.env,
): OutputOf<S> {
  const set = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined && value !== ""));
  const result = schema["~standard"].validate(set);
  if (result instanceof Promise) throw new TypeError("readConfig: the schema must be synchronous");
  if (result.issues === undefined) return result.value;
  throw new ConfigError(
    result.issues.map(({ path, message }) => {
      const name = (path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
      const unset = name !== "" && set[name] === undefined;
      return `${name || "configuration"}: ${unset ? `is not set (${message})` : message}`;
    }),
  );
}
