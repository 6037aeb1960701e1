import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

/** A workspace in which nothing needs installing and `start` runs the program below on this Node. */
const root = mkdtempSync(join(tmpdir(), "flotilla-run-"));
const program = `
  const wait = setInterval(() => {}, 1000);
  const seen = [];
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => {
      seen.push(signal);
      // Long enough for a second signal to come in, if one was sent.
      setTimeout(() => { console.log("saw", seen.join()); clearInterval(wait); process.exitCode = 7; }, 200);
    });
  }
  console.log("ready", JSON.stringify(process.argv.slice(2)), process.env.PATH.split(":")[0]);
  if (process.argv[2] === "die") process.kill(process.pid, "SIGKILL");
  if (process.argv[2] === "exit") process.exit(Number(process.argv[3]));
`;

mkdirSync(join(root, "scripts"));
mkdirSync(join(root, "node_modules/.bin"), { recursive: true });
mkdirSync(join(root, "examples/shipping/src"), { recursive: true });
for (const file of ["run.mjs", "lock.mjs", "lifeline.mjs"])
  copyFileSync(join(import.meta.dirname, file), join(root, "scripts", file));
writeFileSync(join(root, "package-lock.json"), '{"packages": {}}');
writeFileSync(join(root, "node_modules/.package-lock.json"), '{"packages": {}}');
writeFileSync(join(root, "examples/shipping/src/main.ts"), program);
symlinkSync(process.execPath, join(root, "node_modules/.bin/node"));
after(() => rmSync(root, { recursive: true }));

function start(...args: string[]): Run {
  return run(process.execPath, [join(root, "scripts/run.mjs"), ...args]);
}

interface Run {
  child: ChildProcess;
  printed(text: string): Promise<void>;
  ended: Promise<string>;
}

function run(command: string, args: readonly string[], env = process.env): Run {
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    child.emit("printed");
  });
  const printed = async (text: string): Promise<void> => {
    while (!output.includes(text)) await new Promise((resolve) => child.once("printed", resolve));
  };
  const ended = new Promise<string>((resolve) => {
    child.once("close", (code, signal) => resolve(`${output}${signal ?? code}`));
  });
  return { child, printed, ended };
}

test("a task gets its arguments, finds the workspace's programs first, and gives its exit code", async () => {
  const { ended } = start("start", "exit", "5", "--for", "20s");
  const bin = join(root, "node_modules/.bin");
  assert.equal(await ended, `ready ["exit","5","--for","20s"] ${bin}\n5`);
});

test("a task that a signal killed looks killed", async () => {
  assert.match(await start("start", "die").ended, /SIGKILL$/);
});

test("a signal to the runner alone reaches the task once; the runner ends when the task has", async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const running = start("start");
    await running.printed("ready");
    running.child.kill(signal);
    assert.match(await running.ended, new RegExp(`\\nsaw ${signal}\\n7$`));
  }
});

test("signals that come twice, as from npm and a process group, reach the task once", async () => {
  const running = start("start");
  await running.printed("ready");
  for (let i = 0; i < 3; i++) {
    running.child.kill("SIGINT");
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match(await running.ended, /\nsaw SIGINT\n7$/);
});

test("a task whose runner was killed ends", async () => {
  const running = start("start");
  await running.printed("ready");
  running.child.kill("SIGKILL");
  // The pipe that the task inherited is closed when it has ended too.
  assert.match(await running.ended, /\nsaw SIGTERM\nSIGKILL$/);
});

test("a task whose npm was killed ends, though the shell between them passes nothing on", async () => {
  const script = `"${process.execPath}" "${join(root, "scripts/run.mjs")}" start; true`;
  const running = run("sh", ["-c", script], { ...process.env, npm_lifecycle_event: "start" });
  await running.printed("ready");
  running.child.kill("SIGTERM");
  assert.match(await running.ended, /\nsaw SIGTERM\nSIGTERM$/);
});

test("an unknown task names those that there are", async () => {
  assert.match(await start("launch").ended, /no task launch; there are start, test, .*\n2$/);
});
