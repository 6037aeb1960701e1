import { fork } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { systemClock } from "flotilla/clock";
import type { Report } from "./reports.ts";
import type { Served } from "./served.ts";

/** How a process is started. */
export interface ChildOptions {
  /** For people: `routing-2`. */
  readonly name: string;
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
  /** What it writes is appended to this file. */
  readonly log: string;
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Whether it was told to. */
  readonly asked: boolean;
}

/** A process that was started. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly running: boolean;
  /** What it told last of the calls it served. */
  readonly served: Served | undefined;
  /** Resolves when it has ended, however it did. */
  readonly exited: Promise<Exit>;
  /** Asks it to stop, and kills it when it has not after the time given. */
  stop(limitMs: number): Promise<Exit>;
  /** The end of what it wrote, for an error message. */
  lastWords(): string;
}

/**
 * Starts a process. It leads a process group of its own, so that Ctrl-C at the terminal reaches only the launcher, which
 * then stops the processes in the right order.
 *
 * @throws Error when it cannot be started at all.
 */
export function startChild({ name, file, env, log }: ChildOptions): Child {
  const output = openSync(log, "a");
  const child = fork(file, {
    env: { ...process.env, ...env },
    execArgv: process.execArgv.filter((arg) => /^(--conditions|-C|--disable-warning|--import)/.test(arg)),
    stdio: ["ignore", output, output, "ipc"],
    detached: true,
  });
  closeSync(output);
  let served: Served | undefined;
  let asked = false;
  let running = true;
  child.on("message", (message: Report) => {
    served = message.served;
  });
  const exited = new Promise<Exit>((resolve) => {
    const end = (code: number | null, signal: NodeJS.Signals | null) => {
      running = false;
      resolve({ code, signal, asked });
    };
    child.once("exit", end);
    child.once("error", () => end(1, null));
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} could not be started: ${file}`);

  return {
    name,
    pid,
    exited,
    get running() {
      return running;
    },
    get served() {
      return served;
    },
    stop: async (limitMs) => {
      asked = true;
      child.kill("SIGTERM");
      const timer = systemClock.schedule(limitMs, () => child.kill("SIGKILL"));
      const exit = await exited;
      timer.cancel();
      return exit;
    },
    lastWords: () => readFileSync(log, "utf8").trimEnd().split("\n").slice(-8).join("\n"),
  };
}
