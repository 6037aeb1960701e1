import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { describeCalculator } from "../../lib/calc-pb.ts";
import { ready } from "../../lib/ready.ts";

interface Request {
  readonly a: number;
  readonly b: number;
}

const implementation = {
  sum: ({ a, b }: Request) => ({ v: a + b }),
  async *ticks({ a, b }: Request) {
    for (let i = 0; i < a; i++) yield { v: b };
  },
};
const routes = (router: ConnectRouter) => router.service(describeCalculator(), implementation as never);
const server = createServer(connectNodeAdapter({ routes }));
server.listen(0, "127.0.0.1", () => ready((server.address() as AddressInfo).port));
