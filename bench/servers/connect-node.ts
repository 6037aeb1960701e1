import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { describeCalculator } from "../lib/calc-pb.ts";
import { ready } from "../lib/ready.ts";

const sum = ({ a, b }: { a: number; b: number }) => ({ v: a + b });
// A descriptor made at run time carries no message types, so none can be checked here.
const routes = (router: ConnectRouter) => router.service(describeCalculator(), { sum } as never);
const server = createServer(connectNodeAdapter({ routes }));
server.listen(0, "127.0.0.1", () => ready((server.address() as AddressInfo).port));
