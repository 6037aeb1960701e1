import { background } from "flotilla/context";
import { grpcClient } from "flotilla/grpc";
import { fromProtobuf } from "flotilla/protobuf";
import { client } from "flotilla/service";
import { describeCalculator } from "../../lib/calc-pb.ts";
import { serveKind, TICKS } from "../serve.ts";

interface Stub {
  sum(ctx: unknown, request: { a: number; b: number }): Promise<{ v: number }>;
  ticks(ctx: unknown, request: { a: number; b: number }): AsyncIterable<{ v: number }>;
}

const address = `grpc://127.0.0.1:${process.argv[2]}`;
// The whole client: discovery, balancing and the default stack.
const calculator = client(fromProtobuf(describeCalculator()), {
  discover: [address],
  transport: grpcClient(),
}) as unknown as Stub;
const root = background();

serveKind({
  async sum() {
    const { v } = await calculator.sum(root, { a: 1, b: 2 });
    if (v !== 3) throw new Error("a wrong answer");
  },
  async ticks() {
    let count = 0;
    for await (const { v } of calculator.ticks(root, { a: TICKS, b: 7 })) if (v === 7) count++;
    if (count !== TICKS) throw new Error(`${count} messages`);
  },
});
