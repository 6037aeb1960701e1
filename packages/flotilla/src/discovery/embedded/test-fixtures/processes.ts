import { spawn } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

/** A process of instance-process.ts. */
export interface InstanceProcess {
  readonly pid: number;
  /** What it has said. */
  readonly lines: readonly string[];
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<void>;
}

/** How a process is started. */
export interface ProcessOptions {
  /** The user it runs as; only root may choose. */
  readonly uid?: number;
  readonly env?: NodeJS.ProcessEnv;
}

const script = fileURLToPath(new URL("instance-process.ts", import.meta.url));

const endings = new WeakMap<TestContext, (() => Promise<void>)[]>();

/** Does it when the test ends, the last thing first: a folder is removed after those who write to it are gone. */
function atEnd(t: TestContext, action: () => Promise<void>): void {
  const actions = endings.get(t);
  if (actions !== undefined) return void actions.push(action);
  const list = [action];
  endings.set(t, list);
  t.after(async () => {
    for (const each of list.toReversed()) await each();
  });
}

/** Starts one; it is gone when the test ends. */
export function startProcess(t: TestContext, args: readonly string[], options: ProcessOptions = {}): InstanceProcess {
  const { uid, env = {} } = options;
  const child = spawn(process.execPath, ["--conditions=@flotilla/source", script, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, FLOTILLA_REGISTRY: "", ...env },
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const lines: string[] = [];
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    lines.push(...parts);
  });
  child.on("error", (error) => lines.push(`error ${error.message}`));
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  atEnd(t, async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return { pid: child.pid ?? -1, lines, ended, kill: (signal) => void child.kill(signal) };
}

/** A folder that other users may enter too; removed when the test ends. */
export async function makeFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "flotilla-faults-"));
  await chmod(folder, 0o755);
  atEnd(t, () => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}
