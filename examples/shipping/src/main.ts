import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "flotilla/clock";
import { plainDisplay, terminalDisplay } from "./runtime/display.ts";
import { launch } from "./runtime/launch.ts";
import { parseOptions, usage } from "./runtime/options.ts";
import { inWords } from "./runtime/report.ts";

/** A Ctrl-C comes from the terminal and again through npm: one signal, told twice. */
const sameSignalMs = 300;

// Starts the whole system, lets customers at it, shows how it fares, and stops it. `npm start -- --help` says how.

const options = parseOptions(process.argv.slice(2));
if ("wrong" in options) {
  process.stderr.write(`${options.wrong.join("\n")}\n\n${usage}`);
  process.exitCode = 2;
} else if (options.help) {
  process.stdout.write(usage);
} else {
  const folder = mkdtempSync(join(tmpdir(), "shipping-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  const live = process.stdout.isTTY && !options.json;
  const out = options.json ? process.stderr : process.stdout;
  const display = live ? terminalDisplay(process.stdout, systemClock) : plainDisplay(out, systemClock);
  try {
    const report = await launch(options, folder, display, untilSignal());
    display.close();
    out.write(`\n${inWords(report)}`);
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    process.exitCode = report.ok ? 0 : 1;
  } catch (error) {
    display.close();
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}

/** Resolves at the first SIGINT or SIGTERM. The second ends the launcher at once; the processes notice, and stop by themselves. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    let firstMs: number | undefined;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        firstMs ??= systemClock.now();
        if (systemClock.now() - firstMs >= sameSignalMs) process.exit(130);
        resolve();
      });
    }
  });
}
