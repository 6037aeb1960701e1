import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "../../../clock/virtual-clock.ts";
import { Logging } from "../logging.ts";
import type { LogsOptions } from "../options.ts";

/** A line as it was written. */
export type Line = Readonly<Record<string, unknown>>;

/** A file that lines go to. */
export interface LogFile {
  readonly fd: number;
  /** What has been written so far. */
  text(): string;
  lines(): Line[];
  remove(): void;
}

export function logFile(): LogFile {
  const folder = mkdtempSync(join(tmpdir(), "flotilla-log-"));
  const path = join(folder, "log");
  const fd = openSync(path, "w");
  const text = (): string => readFileSync(path, "utf8");
  return {
    fd,
    text,
    lines: () => parseLines(text()),
    remove() {
      closeSync(fd);
      rmSync(folder, { recursive: true });
    },
  };
}

/** @throws SyntaxError when a line is no JSON. */
export function parseLines(text: string): Line[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}

/** Logs with the options given, to a file, on a virtual clock. @returns what was written. */
export async function logged(
  options: LogsOptions,
  write: (logging: Logging, clock: VirtualClock) => unknown,
): Promise<Line[]> {
  const file = logFile();
  try {
    const clock = new VirtualClock();
    const logging = new Logging({ format: "json", ...options, fd: file.fd }, { env: {}, clock, service: "test" });
    await write(logging, clock);
    await logging.close();
    return file.lines();
  } finally {
    file.remove();
  }
}
