// Consumes until it is told to end, and prints the number of each message it has handled, a line each, before the broker hears of it.
import { writeSync } from "node:fs";
import { systemClock } from "flotilla/clock";
import { sleep } from "flotilla/context";
import { host, implement } from "flotilla/service";
import { consumer } from "../consumer.ts";
import { CargoEvents } from "./cargo.ts";

const [, , url, group] = process.argv as [string, string, string, string];

const service = implement(CargoEvents, {
  async booked(ctx, cargo) {
    await sleep(ctx, 1);
    writeSync(1, `${cargo.n}\n`);
    return cargo;
  },
  lost: (_ctx, cargo) => cargo,
});

await host({
  name: "consuming",
  admin: false,
  listen: [consumer({ url, group, serve: [service], maxConcurrentCalls: 50 })],
  clock: systemClock,
  onEvent: () => {},
}).run();
