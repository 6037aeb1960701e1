// Calls and publishes, prints the answers, and does nothing more but for staying as long as it is told. Its client and its publishers are not closed.
import { background, sleep, withTimeout } from "flotilla/context";
import { ServiceError } from "flotilla/errors";
import { client } from "flotilla/service";
import { amqpClient } from "../client.ts";
import { publisher } from "../publisher.ts";
import { CargoEvents, Tracking } from "./cargo.ts";

const [, , url, nowhere, stayMs] = process.argv as unknown as [string, string, string, string, string];

const broker = { heartbeatMs: 1000 };
const calls = client(Tracking, { discover: [url], transport: amqpClient(broker) });
const events = publisher(CargoEvents, { url, mandatory: false, ...broker });
const toNobody = publisher(CargoEvents, { url: nowhere });
const ctx = background();
const answers: unknown[] = [await calls.find(ctx, { n: 1 }), await events.booked(ctx, { n: 1 })];
// Some heartbeats go by, for none of which the process must stay.
await sleep(ctx, 1500);
// For these it must, though no broker may ever be there.
answers.push(await calls.find(ctx, { n: 2 }), await events.booked(ctx, { n: 2 }));
for (const n of [3, 4]) {
  answers.push(
    await toNobody.booked(withTimeout(ctx, 300), { n }).catch((error: unknown) => ServiceError.from(error).code),
  );
}
process.stdout.write(JSON.stringify(answers));
setTimeout(() => {}, Number(stayMs));
