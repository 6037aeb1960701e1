import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Service, ServiceBroker } from "moleculer";
import ApiGateway from "moleculer-web";
import { ready } from "../lib/ready.ts";

const broker = new ServiceBroker({ logger: false });
broker.createService({
  name: "calculator",
  actions: {
    sum: {
      params: { a: "number", b: "number" },
      handler: ({ params }: { params: { a: number; b: number } }) => ({ v: params.a + params.b }),
    },
  },
});
const gateway: Service & { server?: Server } = broker.createService({
  name: "gateway",
  mixins: [ApiGateway],
  settings: {
    port: 0,
    ip: "127.0.0.1",
    routes: [{ path: "/calc.v1.Calculator", aliases: { "POST sum": "calculator.sum" }, bodyParsers: { json: true } }],
  },
});
await broker.start();
const address = gateway.server?.address() as AddressInfo | undefined;
if (address === undefined) throw new Error("the gateway has started no server");
ready(address.port);
