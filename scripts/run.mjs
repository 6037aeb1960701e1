// The entry of every npm script: `node scripts/run.mjs TASK [ARGS]`. Plain JavaScript for any Node from 18 on, because it
// runs before anything is installed: it installs what package-lock.json asks for, then runs the task on the workspace's Node.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { lockDifferences } from "./lock.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "node_modules", ".bin");
const windows = process.platform === "win32";
const fromSource = "--conditions=@flotilla/source";
const lifeline = "--import=./scripts/lifeline.mjs";

/** Task name → arguments of the workspace's Node. */
const tasks = {
  start: [fromSource, "examples/shipping/src/main.ts"],
  test: ["scripts/test.ts"],
  unit: ["scripts/test.ts", "--unit"],
  build: ["scripts/build.ts"],
  pack: ["scripts/pack.ts"],
  bench: [fromSource, "bench/main.ts"],
  sim: [fromSource, "simulations/main.ts"],
  format: ["node_modules/@biomejs/biome/bin/biome", "check", "--write", "."],
};

const forwarded = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];
/** What npm and the terminal, or a process group, send of one kill arrives within this time. */
const SAME_SIGNAL_MS = 300;
const ORPHANED_EVERY_MS = 250;

/**
 * Runs a command to its end and tells how it ended. The child is in a session of its own, so that however a signal came (Ctrl-C,
 * a kill of this process, of npm or of the whole group, or several of these at once) it gets it once, from here.
 */
function run(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, detached: !windows, ...options });
    const sentAt = {};
    const pass = (signal) => {
      if (performance.now() - (sentAt[signal] ?? Number.NEGATIVE_INFINITY) < SAME_SIGNAL_MS) return;
      sentAt[signal] = performance.now();
      child.kill(signal);
    };
    for (const signal of forwarded) process.on(signal, pass);
    // npm starts a shell between itself and this process, which dies of a signal without passing it on.
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.ppid === parent || !process.env.npm_lifecycle_event) return;
      clearInterval(watch);
      if (Object.keys(sentAt).length === 0) pass("SIGTERM");
    }, ORPHANED_EVERY_MS);
    const settle = (action) => {
      clearInterval(watch);
      for (const signal of forwarded) process.off(signal, pass);
      action();
    };
    child.once("error", (error) => settle(() => reject(error)));
    child.once("exit", (code, signal) => settle(() => resolve({ code, signal })));
  });
}

/** Ends this process the way a child ended. */
function endAs({ code, signal }) {
  process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  if (signal && !windows) process.kill(process.pid, signal);
}

/** Installs when node_modules is not what package-lock.json says. Returns how npm ended when it failed. */
async function install() {
  const differences = lockDifferences(root);
  if (differences.length === 0) return undefined;
  process.stderr.write(`Installing dependencies (${differences[0]}); the first time takes about a minute.\n`);
  const npm = process.env.npm_execpath;
  const [command, prefix] = npm ? [process.execPath, [npm]] : [windows ? "npm.cmd" : "npm", []];
  // Not `npm ci`: it refuses a lockfile without the other platforms' optional binaries. What is locked is installed as
  // locked all the same, which is checked below.
  const args = ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"];
  const env = { ...process.env, NODE_ENV: "development" };
  const end = await run(command, [...prefix, ...args], { stdio: ["ignore", 2, 2], shell: windows && !npm, env });
  if (end.code !== 0) return end;
  const left = lockDifferences(root);
  if (left.length === 0) return undefined;
  process.stderr.write(
    `npm install did not bring node_modules in step with package-lock.json:\n  ${left.join("\n  ")}\n`,
  );
  process.stderr.write("Run npm install, and commit package-lock.json if it changed.\n");
  return { code: 1, signal: null };
}

const [name, ...args] = process.argv.slice(2);
const task = Object.hasOwn(tasks, name ?? "") ? tasks[name] : undefined;
if (task === undefined) {
  process.stderr.write(`run.mjs: no task ${name ?? ""}; there are ${Object.keys(tasks).join(", ")}\n`);
  process.exitCode = 2;
} else {
  const failed = await install();
  const node = join(bin, windows ? "node.exe" : "node");
  if (failed) {
    endAs(failed);
  } else if (!existsSync(node)) {
    process.stderr.write(`${node} is missing: allow the install script of the package "node", then npm rebuild node\n`);
    process.exitCode = 1;
  } else {
    const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` };
    endAs(await run(node, [lifeline, ...task, ...args], { stdio: "inherit", env }));
  }
}
