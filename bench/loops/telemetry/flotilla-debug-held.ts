import { background, type Context } from "flotilla/context";
import { memory } from "flotilla/memory";
import { channel, client, host, implement } from "flotilla/service";
import { log } from "flotilla/telemetry";
import { loggingOnly } from "../../lib/bench-log.ts";
import { Calculator } from "../../lib/calculator.ts";
import { serveLoop } from "../../lib/worker.ts";

/** The context of a call that does not end. */
async function callContext(): Promise<Context> {
  const { promise, resolve } = Promise.withResolvers<Context>();
  const net = memory();
  await host({
    name: "calculator",
    serve: [
      implement(Calculator, {
        sum(ctx) {
          resolve(ctx);
          return new Promise(() => {});
        },
      }),
    ],
    listen: [net.listener("calculator")],
    telemetry: loggingOnly(),
    admin: false,
  }).start();
  const over = channel({ discover: ["memory://calculator"], transport: net, timeoutMs: false });
  void client(Calculator, over).sum(background(), { a: 1, b: 2 });
  return promise;
}

const ctx = await callContext();

serveLoop((iterations) => {
  for (let i = 0; i < iterations; i++) log(ctx).debug({ cargo: i }, "kept until the call has ended");
  return ctx;
});
