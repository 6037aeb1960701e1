import { Child } from "./child.ts";
import type { Measurement, Subject } from "./scenario.ts";

/** Measures in a process of its own, so that no row's types and garbage reach another's. */
export async function openWorker(
  row: string,
  cpus: string | undefined,
  file: string,
  args: readonly string[],
): Promise<Subject> {
  const child = new Child(row, cpus, file, args);
  try {
    await child.ask(undefined);
  } catch (error) {
    await child.close();
    throw error;
  }
  return {
    measure: (seconds) => child.ask<Measurement>({ seconds }, seconds * 1000 + 30_000),
    close: () => child.close(),
  };
}
