import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { type Line, parseLines } from "./test-fixtures/log-bed.ts";

const program = join(import.meta.dirname, "test-fixtures", "logging-process.ts");

function start(
  what: string,
  env: NodeJS.ProcessEnv = {},
): ChildProcess & { stdout: NonNullable<ChildProcess["stdout"]> } {
  const child = fork(program, [what], {
    silent: true,
    // Not those of the test runner, which has SIGUSR2 write a report.
    execArgv: ["--conditions=@flotilla/source"],
    env: { ...process.env, LOG_LEVEL: undefined, ...env },
  });
  return child as ChildProcess & { stdout: NonNullable<ChildProcess["stdout"]> };
}

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: readonly Line[];
}

async function endOf(child: ChildProcess): Promise<End> {
  const [out, [code, signal]] = await Promise.all([
    text(child.stdout!),
    once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>,
  ]);
  return { code, signal, lines: parseLines(out) };
}

/** All two thousand, in order, each once. */
function assertAll(lines: readonly Line[]): void {
  assert.deepEqual(
    lines.filter(({ msg }) => msg === "line").map(({ n }) => n),
    Array.from({ length: 2000 }, (_, n) => n),
  );
}

describe("no line is lost", () => {
  test("when the process exits, or just ends", async () => {
    const [exit, end] = await Promise.all([endOf(start("exit")), endOf(start("return"))]);
    assertAll(exit.lines);
    assertAll(end.lines);
    assert.deepEqual([exit.code, end.code], [3, 0]);
  });

  test("when nobody catches an error: it is the last line", async () => {
    for (const [what, message] of [
      ["throw", "nobody catches this"],
      ["reject", "nobody handles this"],
    ] as const) {
      const child = start(what);
      const stderr = text(child.stderr!);
      const { code, lines } = await endOf(child);
      assertAll(lines);
      const { level, err } = lines.at(-1)! as { level: number; err: Line };
      assert.deepEqual([level, err["message"]], [60, message]);
      assert.equal(code, 1, "and the process ends as it would have ended without us");
      assert.match(await stderr, new RegExp(message));
    }
  });

  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    test(`on ${signal}, which ends the process as it does without us`, async () => {
      const child = start("signal");
      await once(child, "message");
      const end = endOf(child);
      child.kill(signal);
      const { signal: by, lines } = await end;
      assertAll(lines);
      assert.equal(by, signal);
    });
  }

  test("on SIGTERM under a host, which stops in its own time and logs to the end", async () => {
    const child = start("host");
    await once(child, "message");
    const end = endOf(child);
    child.kill("SIGTERM");
    const { code, lines } = await end;
    assertAll(lines);
    assert.equal(code, 0);
    const told = lines.filter(({ msg }) => msg !== "line").map(({ msg }) => msg);
    assert.match(String(told.shift()), /^serving nothing at http/);
    assert.deepEqual(told, ["SIGTERM: finishing what is in flight", "task ends", "stopped"]);
  });
});

test("a pipe that nobody reads costs neither time nor memory; what is dropped is counted once somebody reads", async () => {
  const child = start("stuck");
  child.stdout.pause();
  const [{ worstMs, rss }] = (await once(child, "message")) as [{ worstMs: number; rss: number }];
  assert.ok(rss < 250e6, `${rss} bytes`);
  assert.ok(worstMs < 2000, `${worstMs} ms for 500 lines`);
  const end = endOf(child);
  // The line about what was dropped comes when there is room.
  await new Promise<void>((resolve) => {
    let seen = "";
    child.stdout.on("data", (chunk: Buffer) => {
      seen = (seen + chunk.toString("latin1")).slice(-10_000);
      if (seen.includes("lines dropped")) resolve();
    });
  });
  child.kill("SIGTERM");
  const { lines } = await end;
  const dropped = lines
    .filter(({ msg }) => msg === "lines dropped")
    .reduce((sum, line) => sum + Number(line["dropped"]), 0);
  const written = lines.filter(({ msg }) => msg === "line").length;
  assert.equal(written + dropped, 50_000);
  assert.ok(written > 5000 && dropped > 5000, `${written} written, ${dropped} dropped`);
});

test("a process ends though nobody reads", async () => {
  const child = start("stuck");
  child.stdout.pause();
  await once(child, "message");
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const [, signal] = (await exited) as [unknown, NodeJS.Signals];
  assert.equal(signal, "SIGTERM");
  child.stdout.destroy();
});

test("SIGUSR2 switches debug lines on, and off again", async () => {
  const child = start("toggle");
  await once(child, "message");
  const end = endOf(child);
  const seen = (what: string): Promise<void> =>
    new Promise((resolve) => {
      const listen = (chunk: Buffer): void => {
        if (!chunk.toString().includes(what)) return;
        child.stdout.off("data", listen);
        resolve();
      };
      child.stdout.on("data", listen);
    });
  await seen('"info"');
  child.kill("SIGUSR2");
  await seen('"debug"');
  child.kill("SIGUSR2");
  await seen("debug lines are off");
  await seen('"info"');
  child.kill("SIGTERM");
  const { lines } = await end;
  const told = lines.map(({ msg }) => msg);
  const on = told.indexOf("debug lines are on: SIGUSR2");
  const off = told.indexOf("debug lines are off: SIGUSR2");
  assert.ok(on > 0 && off > on);
  assert.ok(!told.slice(0, on).includes("debug") && !told.slice(off).includes("debug"));
  assert.ok(told.slice(on, off).includes("debug"));
});

test("without telemetry, log(ctx) writes as the environment says", async () => {
  const { lines } = await endOf(start("default", { LOG_LEVEL: "info" }));
  assert.equal(lines.find(({ msg }) => msg === "without telemetry")?.["level"], 30);
  assert.deepEqual((await endOf(start("default", { LOG_LEVEL: "warn" }))).lines, []);
});
