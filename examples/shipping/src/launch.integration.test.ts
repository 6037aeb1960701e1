import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Display } from "./runtime/display.ts";
import { launch } from "./runtime/launch.ts";
import type { RunReport } from "./runtime/report.ts";

const folder = mkdtempSync(join(tmpdir(), "shipping-launch-"));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));

test("kill -9 of a replica costs no request; it leaves the registry, and another takes its place", async () => {
  const { promise: end, resolve } = Promise.withResolvers<void>();
  const said: string[] = [];
  let killed: number | undefined;
  const display: Display = {
    live: false,
    columns: 100,
    colour: false,
    say: (line) => {
      said.push(line);
      if (/^routing-. is back/.test(line)) resolve();
    },
    show: ({ rows }) => {
      const routing = rows.find((row) => row.name === "routing");
      if (killed !== undefined || routing === undefined || routing.perSecond < 1) return;
      killed = routing.pids[0];
      if (killed !== undefined) process.kill(killed, "SIGKILL");
    },
    close: () => {},
  };
  const options = { forMs: undefined, json: false, seed: 3, rate: 10, port: 0, trace: false, help: false };
  const report = await launch(options, folder, display, end);
  assert.deepEqual({ failures: report.customers.failures, troubles: report.troubles }, { failures: [], troubles: [] });
  assert.equal(report.ok, true);
  assert.equal(report.services["routing"]?.restarts, 1);
  assert.ok(said.some((line) => line.includes(`(pid ${killed}) was ended by SIGKILL`)));
  assert.ok(said.some((line) => /left the registry .* after its death/.test(line)));
  for (const name of ["gateway", "booking", "handling", "tracking", "routing"]) {
    assert.ok((report.services[name]?.requests ?? 0) > 0, name);
  }
});

/** Runs the launcher as `npm start` does, with a temporary folder of its own. */
function start(args: readonly string[], temp: string) {
  const conditions = process.execArgv.filter((arg) => arg.startsWith("--conditions") || arg.startsWith("--import"));
  const child = spawn(process.execPath, [...conditions, join(import.meta.dirname, "main.ts"), ...args], {
    env: { ...process.env, TMPDIR: temp },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  const waiting: { text: string; resolve: () => void }[] = [];
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    out += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    err += chunk;
    for (const { text, resolve } of waiting) if (err.includes(text)) resolve();
  });
  return {
    child,
    /** Resolves when the text was written to standard error. */
    written: (text: string) => new Promise<void>((resolve) => waiting.push({ text, resolve })),
    ended: new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
      child.once("close", (code) => resolve({ code, out, err }));
    }),
  };
}

test("told to stop in the middle, the launcher drains, reports, and leaves nothing behind", async () => {
  const temp = mkdtempSync(join(folder, "temp-"));
  const { child, written, ended } = start(["--json", "--port", "0", "--rate", "10", "--for", "10m"], temp);
  await written("routing x3");
  child.kill("SIGINT");
  const { code, out, err } = await ended;
  const lines = out.trimEnd().split("\n");
  assert.equal(lines.length, 1, "nothing but the report on standard output");
  const report = JSON.parse(lines[0] ?? "") as RunReport;
  assert.deepEqual(report.customers.failures, [], err);
  assert.equal(report.ok, true);
  assert.equal(code, 0);
  assert.deepEqual(readdirSync(temp), []);
});

test("a wrong command line is explained", async () => {
  const { code, err } = await start(["--for", "soon"], folder).ended;
  assert.equal(code, 2);
  assert.match(err, /--for must be a time such as 20s/);
});
