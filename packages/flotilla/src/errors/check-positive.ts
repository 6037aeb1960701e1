/**
 * Checks options that are amounts or times. What is no number must not pass for one: `"5" > 0` holds, and `"5" + 1` is 51.
 *
 * @param of - whose options they are: `httpClient`.
 * @throws TypeError for the first that is not a number above 0, naming it.
 */
export function checkPositive(of: string, options: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (typeof value === "number" && value > 0) continue;
    const got = typeof value === "string" ? JSON.stringify(value) : String(value);
    throw new TypeError(`${of}: ${name} must be a number above 0, got ${got}`);
  }
}

/** The options of these names, alone. */
export function pick<T extends object, Name extends keyof T>(options: T, names: readonly Name[]): Pick<T, Name> {
  return Object.fromEntries(names.map((name) => [name, options[name]])) as Pick<T, Name>;
}
