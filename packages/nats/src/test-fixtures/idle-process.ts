// Calls and publishes, prints the answers, and does nothing more. Its clients are not closed.
import { background, sleep } from "flotilla/context";
import { client } from "flotilla/service";
import { natsClient } from "../client.ts";
import { jetstreamClient } from "../jetstream/client.ts";
import { Jobs } from "./jobs.ts";

const [, , address] = process.argv as [string, string, string];

const pings = { pingIntervalMs: 50 };
const calls = client(Jobs, { discover: [address], transport: natsClient(pings) });
const events = client(Jobs, { discover: [address], transport: jetstreamClient(pings) });
const ctx = background();
const answers = [await calls.run(ctx, { n: 1 }), await events.run(ctx, { n: 1 })];
// Some pings go by, for none of which the process must stay.
await sleep(ctx, 200);
// For this one it must, without a deadline.
answers.push(await calls.run(ctx, { n: 2 }));
process.stdout.write(JSON.stringify(answers));
