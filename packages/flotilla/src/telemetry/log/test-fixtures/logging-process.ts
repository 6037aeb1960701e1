/**
 * A process that logs as its first argument says, for tests of how processes end.
 */
import { systemClock } from "../../../clock/system-clock.ts";
import { background } from "../../../context/with.ts";
import { host } from "../../../service/host.ts";
import { http } from "../../../transport/http/server.ts";
import { telemetry } from "../../telemetry.ts";
import { log } from "../logger.ts";

const LINES = 2000;
const what = process.argv[2];
const observed = telemetry({ service: "ending", logs: { burst: false, patienceMs: 500 }, metrics: false });
const { logger } = observed;
if (logger === undefined) throw new Error("logging is on by default");
const count = (): void => {
  for (let n = 0; n < LINES; n++) logger.info({ n }, "line");
};
/** Kept alive, as by a server. */
const alive = (): void => void setInterval(() => {}, 60_000);

switch (what) {
  case "exit":
    count();
    process.exitCode = 3;
    process.nextTick(() => process.exit());
    break;
  case "return":
    count();
    break;
  case "throw":
    count();
    setImmediate(() => {
      throw new Error("nobody catches this");
    });
    break;
  case "reject":
    count();
    void Promise.reject(new Error("nobody handles this"));
    break;
  case "signal":
    alive();
    process.once("message", count);
    process.on("disconnect", () => {});
    count();
    process.send?.("ready");
    break;
  case "host": {
    const running = host({
      name: "ending",
      telemetry: observed,
      listen: [http({ port: 0 })],
      admin: false,
      tasks: {
        async count(ctx) {
          for (let n = 0; n < LINES; n++) log(ctx).info({ n }, "line");
          process.send?.("ready");
          await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve, { once: true }));
          log(ctx).info("task ends");
        },
      },
    });
    await running.run();
    process.disconnect();
    break;
  }
  case "stuck": {
    // More than a pipe and the queue can hold, in turns that let the event loop live.
    alive();
    const big = "x".repeat(1000);
    let worstMs = 0;
    let turns = 0;
    const turn = (): void => {
      const startedMs = systemClock.now();
      for (let n = 0; n < 500; n++) logger.info({ big }, "line");
      worstMs = Math.max(worstMs, systemClock.now() - startedMs);
      if (++turns < 100) return void setImmediate(turn);
      process.send?.({ worstMs, rss: process.memoryUsage().rss });
    };
    turn();
    break;
  }
  case "toggle":
    alive();
    setInterval(() => {
      logger.debug("debug");
      logger.info("info");
    }, 5);
    process.send?.("ready");
    break;
  case "default":
    log(background()).info("without telemetry");
    break;
  default:
    throw new Error(`no such way to end: ${what}`);
}
