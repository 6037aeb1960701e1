// Handles messages until it is told to end, and prints the number of each that it has handled, a line each, before the broker hears of it.
import { writeSync } from "node:fs";
import { systemClock } from "flotilla/clock";
import { sleep } from "flotilla/context";
import { host, implement } from "flotilla/service";
import { jetstream } from "../jetstream/server.ts";
import { Jobs } from "./jobs.ts";

const [, , address, group, ackWaitMs] = process.argv as [string, string, string, string, string];

const service = implement(Jobs, {
  async run(ctx, job) {
    await sleep(ctx, 1);
    writeSync(1, `${job.n}\n`);
    return {};
  },
});

await host({
  name: "consuming",
  admin: false,
  serve: [service],
  listen: [
    jetstream({
      servers: address,
      stream: "jobs",
      group,
      maxConcurrentCalls: 50,
      ackWaitMs: Number(ackWaitMs),
      maxReconnectMs: 100,
    }),
  ],
  clock: systemClock,
  onEvent: () => {},
}).run();
