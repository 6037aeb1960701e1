import { background } from "flotilla/context";
import { grpcClient } from "flotilla/grpc";
import { fromProtobuf } from "flotilla/protobuf";
import { describeCalculator } from "../../lib/calc-pb.ts";
import { serveKind, TICKS } from "../serve.ts";

// As the other rows are: the transport alone, without discovery, balancing, retries and deadlines.
const connection = grpcClient().connect(`grpc://127.0.0.1:${process.argv[2]}`);
const [sumInfo, ticksInfo] = fromProtobuf(describeCalculator()).methods;
const sum = connection.endpoint(sumInfo!);
const ticks = connection.endpoint(ticksInfo!);
const root = background();

serveKind({
  async sum() {
    const { v } = (await sum(root, { a: 1, b: 2 })) as { v: number };
    if (v !== 3) throw new Error("a wrong answer");
  },
  async ticks() {
    let count = 0;
    const stream = (await ticks(root, { a: TICKS, b: 7 })) as AsyncIterable<{ v: number }>;
    for await (const { v } of stream) if (v === 7) count++;
    if (count !== TICKS) throw new Error(`${count} messages`);
  },
});
