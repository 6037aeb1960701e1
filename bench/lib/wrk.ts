import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Machine, onPath, pinned } from "./machine.ts";

const CONNECTIONS = 64;
const SCRIPT = join(import.meta.dirname, "..", "wrk", "sum.lua");
/** Seconds after which wrk is killed if it did not stop when asked. */
const KILL_AFTER_SECONDS = 5;

interface Summary {
  readonly requests: number;
  readonly micros: number;
  readonly status: number;
  readonly socket: number;
  readonly timeout: number;
}

export interface Load {
  readonly requests: number;
  readonly perSecond: number;
}

/** Finds wrk, or installs Debian's package where that is allowed. */
export function findWrk(): string {
  const found = onPath("wrk");
  if (found !== undefined) return found;
  if (process.getuid?.() === 0 && existsSync("/etc/debian_version")) {
    const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    spawnSync("apt-get", ["update", "-q"], { stdio: "ignore", env: environment });
    spawnSync("apt-get", ["install", "-qy", "--no-install-recommends", "wrk"], { stdio: "ignore", env: environment });
  }
  const installed = onPath("wrk");
  if (installed !== undefined) return installed;
  throw new Error("the load generator wrk is not on PATH; install it (Debian: apt-get install wrk) and run again");
}

/** Loads `url` for `seconds` from 64 connections; rejects if any request failed. */
export async function loadWithWrk(wrk: string, url: string, seconds: number, machine: Machine): Promise<Load> {
  const limit = Math.ceil(seconds) + 2;
  const args = [wrk, "-t1", `-c${CONNECTIONS}`, `-d${limit}s`, "-s", SCRIPT, url];
  const [command, commandArgs] = pinned(machine.loadCpus, args);
  const child = spawn(command, commandArgs, { stdio: ["ignore", "pipe", "pipe"] });
  const kill = setTimeout(() => child.kill("SIGKILL"), (limit + KILL_AFTER_SECONDS) * 1000);
  let stop: NodeJS.Timeout | undefined;
  // wrk counts in whole seconds only, but it reports the true duration when it is interrupted.
  const begun = (): void => {
    stop = setTimeout(() => child.kill("SIGINT"), seconds * 1000);
  };
  try {
    const output = await outputOf(child, begun);
    const line = output.trim().split("\n").at(-1) ?? "";
    if (!line.startsWith("{")) throw new Error(`wrk gave no summary: ${output.trim()}`);
    return loadOf(JSON.parse(line) as Summary);
  } finally {
    clearTimeout(stop);
    clearTimeout(kill);
  }
}

function outputOf(child: ReturnType<typeof spawn>, begun: () => void): Promise<string> {
  let output = "";
  child.stderr?.once("data", begun);
  for (const stream of [child.stderr, child.stdout]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve(output));
  });
}

function loadOf({ requests, micros, status, socket, timeout }: Summary): Load {
  if (status + socket + timeout > 0) {
    throw new Error(`${status} answers were errors, ${socket} sockets failed, ${timeout} requests timed out`);
  }
  if (requests === 0) throw new Error("no request was answered");
  return { requests, perSecond: requests / (micros / 1e6) };
}
