import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "./root.ts";

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Milliseconds after which the process and everything it started is killed. Default 10 minutes. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** Exit code 0, in time. */
  readonly ok: boolean;
  /** How it ended, for people: `exit code 1`, `killed by SIGSEGV`, `did not end in 60 s`. */
  readonly how: string;
  readonly timedOut: boolean;
  /** Standard output and error as they came; the middle of more than 1 MB is left out. */
  readonly output: string;
  /** Whether processes that it started were still running when it had ended. They are killed. */
  readonly leftProcesses: boolean;
}

const KEPT_CHARS = 500_000;
const LEFTOVER_GRACE_MS = 2_000;
const running = new Set<number>();

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    for (const pid of running) killGroup(pid);
    process.kill(process.pid, signal);
  });
}

/** Runs a command to its end in a process group of its own, so that nothing that it started outlives it. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const timeoutMs = options.timeoutMs ?? 600_000;
  const child = spawn(command, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const pid = child.pid;
  if (pid !== undefined) running.add(pid);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    if (pid !== undefined) killGroup(pid);
  }, timeoutMs);
  const output = collect(child);
  const how = await ending(child);
  clearTimeout(timer);
  const leftProcesses = pid !== undefined && !timedOut && (await outlived(pid));
  if (pid !== undefined) {
    killGroup(pid);
    running.delete(pid);
  }
  return {
    ok: how === "exit code 0" && !timedOut,
    how: timedOut ? `did not end in ${timeoutMs / 1000} s` : how,
    timedOut,
    output: output(),
    leftProcesses,
  };
}

function ending(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : `killed by ${signal}`));
  });
}

function collect(child: ChildProcess): () => string {
  let head = "";
  let tail = "";
  const add = (text: string): void => {
    if (head.length < KEPT_CHARS) head += text;
    else tail = (tail + text).slice(-KEPT_CHARS);
  };
  child.stdout?.setEncoding("utf8").on("data", add);
  child.stderr?.setEncoding("utf8").on("data", add);
  return () => (tail === "" ? head : `${head}\n[…]\n${tail}`);
}

/** Whether the group still has a living process after a moment's grace. */
async function outlived(group: number): Promise<boolean> {
  const deadline = performance.now() + LEFTOVER_GRACE_MS;
  while (groupExists(group)) {
    if (performance.now() > deadline) return true;
    await sleep(20);
  }
  return false;
}

function groupExists(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch {
    return false;
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // Already gone.
  }
}
