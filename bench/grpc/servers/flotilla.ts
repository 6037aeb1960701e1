import { grpc } from "flotilla/grpc";
import { fromProtobuf } from "flotilla/protobuf";
import { host, implement } from "flotilla/service";
import { describeCalculator } from "../../lib/calc-pb.ts";
import { ready } from "../../lib/ready.ts";

interface Request {
  readonly a: number;
  readonly b: number;
}

const implementation = {
  sum: async (_ctx: unknown, { a, b }: Request) => ({ v: a + b }),
  async *ticks(_ctx: unknown, { a, b }: Request) {
    for (let i = 0; i < a; i++) yield { v: b };
  },
};
const calculator = host({
  name: "calculator",
  // A descriptor made at run time carries no message types, so none can be checked here.
  serve: [implement(fromProtobuf(describeCalculator()), implementation as never)],
  // What sheds load takes a disturbed machine for an overload; the other rows have no such thing.
  use: [],
  listen: [grpc({ port: 0 })],
});
const { addresses } = await calculator.start();
ready(Number(new URL(addresses[0] ?? "").port));
