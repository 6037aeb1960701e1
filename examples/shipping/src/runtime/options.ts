import { parseArgs } from "node:util";

/** What `npm start --` takes. */
export interface LauncherOptions {
  /** End by itself after so many milliseconds; undefined: run until Ctrl-C. */
  readonly forMs: number | undefined;
  /** Print one JSON object at the end, and nothing else on standard output. */
  readonly json: boolean;
  /** Of the timetable and of the customers. */
  readonly seed: number;
  /** New customers a second. */
  readonly rate: number;
  /** Port of the gateway; undefined: 8080, or a free one if that is taken. */
  readonly port: number | undefined;
  /** Show a request's way through the processes. */
  readonly trace: boolean;
  readonly help: boolean;
}

export const usage = `npm start -- [options]

  --for TIME    end after TIME: 20s, 5m, 1500ms (default: run until Ctrl-C)
  --json        the last line is one JSON object with counts, latencies and failures
  --seed N      seed of the timetable and the customers (default 1)
  --rate N      new customers a second, each making about fifteen requests (default 8)
  --trace       show the way of a request through the processes, as it was a moment ago
  --port N      port of the gateway (default 8080, or a free one if that is taken)
`;

/** Reads the command line. Everything wrong with it is returned together. */
export function parseOptions(args: readonly string[]): LauncherOptions | { readonly wrong: readonly string[] } {
  const wrong: string[] = [];
  const values = read(args, wrong);
  const number = (name: string, text: string, low: number, high: number, whole: boolean): number => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
      wrong.push(`--${name} must be a ${whole ? "whole " : ""}number from ${low} to ${high}, got "${text}"`);
    }
    return value;
  };
  const options = {
    forMs: values.for === undefined ? undefined : duration(values.for, wrong),
    json: values.json ?? false,
    seed: number("seed", values.seed ?? "1", 0, 2 ** 32 - 1, true),
    rate: number("rate", values.rate ?? "8", 0, 1000, false),
    port: values.port === undefined ? undefined : number("port", values.port, 0, 65_535, true),
    trace: values.trace ?? false,
    help: values.help ?? false,
  };
  return wrong.length === 0 ? options : { wrong };
}

function read(args: readonly string[], wrong: string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        for: { type: "string" },
        json: { type: "boolean" },
        seed: { type: "string" },
        rate: { type: "string" },
        port: { type: "string" },
        trace: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    wrong.push((error as Error).message);
    return {};
  }
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function duration(text: string, wrong: string[]): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const ms = Number(match?.[1]) * (units[match?.[2] ?? ""] ?? Number.NaN);
  if (!(ms > 0)) wrong.push(`--for must be a time such as 20s, 5m or 1500ms, got "${text}"`);
  return ms;
}
