import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describeCalculator } from "../../lib/calc-pb.ts";
import { serveKind, TICKS } from "../serve.ts";

interface Stub {
  sum(request: { a: number; b: number }): Promise<{ v: number }>;
  ticks(request: { a: number; b: number }): AsyncIterable<{ v: number }>;
}

const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${process.argv[2]}` });
const client = createClient(describeCalculator(), transport) as unknown as Stub;

serveKind({
  async sum() {
    const { v } = await client.sum({ a: 1, b: 2 });
    if (v !== 3) throw new Error("a wrong answer");
  },
  async ticks() {
    let count = 0;
    for await (const { v } of client.ticks({ a: TICKS, b: 7 })) if (v === 7) count++;
    if (count !== TICKS) throw new Error(`${count} messages`);
  },
});
