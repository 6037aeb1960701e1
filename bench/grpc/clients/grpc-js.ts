import { Client, credentials } from "@grpc/grpc-js";
import { definition } from "../definition.ts";
import { serveKind, TICKS } from "../serve.ts";

const client = new Client(`127.0.0.1:${process.argv[2]}`, credentials.createInsecure());
const { sum, ticks } = definition();

serveKind({
  sum: () =>
    new Promise((resolve, reject) => {
      const done = (error: Error | null, answer?: unknown): void => {
        if (error !== null) reject(error);
        else if ((answer as { v: number }).v !== 3) reject(new Error("a wrong answer"));
        else resolve();
      };
      client.makeUnaryRequest(sum.path, sum.requestSerialize, sum.responseDeserialize, { a: 1, b: 2 }, done);
    }),
  async ticks() {
    let count = 0;
    const request = { a: TICKS, b: 7 };
    const stream = client.makeServerStreamRequest(
      ticks.path,
      ticks.requestSerialize,
      ticks.responseDeserialize,
      request,
    );
    for await (const { v } of stream as AsyncIterable<{ v: number }>) if (v === 7) count++;
    if (count !== TICKS) throw new Error(`${count} messages`);
  },
});
