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
  const set: Record<string, string> = {};
  for (const [name, value] of Object.entries(source)) if (value !== undefined && value !== "") set[name] = value;
  const result = schema["~standard"].validate(set);
  if (result instanceof Promise) throw new TypeError("readConfig: the schema must be synchronous");
  if (result.issues === undefined) return result.value;
  throw new ConfigError(
    result.issues.map(({ path, message }) => {
      const keys = (path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
      const variable = keys[0];
      if (variable === undefined) return `configuration: ${withoutValues(message, Object.values(set))}`;
      const value = Object.hasOwn(set, variable) ? set[variable] : undefined;
      const name = keys.join(".");
      return value === undefined ? `${name}: is not set (${message})` : `${name}: ${withoutValues(message, [value])}`;
    }),
  );
}

/** Validators like to quote what they got (`received "hunter2"`, `was hunter2`): whole values go, and quoted parts of them. */
function withoutValues(message: string, values: readonly string[]): string {
  let text = message;
  for (const value of values) {
    // A short one among many says nothing by itself, and would tear words apart.
    if (values.length > 1 && value.length < 4) continue;
    for (const form of new Set([value, JSON.stringify(value).slice(1, -1)])) {
      const escaped = form.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      const start = /^\w/.test(form) ? "(?<!\\w)" : "";
      const end = /\w$/.test(form) ? "(?!\\w)" : "";
      text = text.replace(new RegExp(start + escaped + end, "g"), "(value)");
    }
  }
  return text.replace(/"((?:[^"\\]|\\.)+)"/g, (quoted, part: string) =>
    part.length > 3 && values.some((value) => value.includes(part)) ? '"(value)"' : quoted,
  );
}
