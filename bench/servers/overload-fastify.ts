import type { AddressInfo } from "node:net";
import underPressure from "@fastify/under-pressure";
import fastify from "fastify";
import { worker } from "../lib/busy.ts";
import { ready } from "../lib/ready.ts";
import { sumPath } from "../lib/sum.ts";

/** The port of a store, or 0; then `plain`: without what refuses. */
const [, , storePort, plain] = process.argv;
const work = worker(Number(storePort) || undefined);
const number = { type: "number" } as const;

const app = fastify();
// Looks ten times a second where the default is once: of the settings tried here the one that serves most.
if (plain !== "plain") {
  await app.register(underPressure, { maxEventLoopDelay: 50, maxEventLoopUtilization: 0.98, sampleInterval: 100 });
}
app.post<{ Body: { a: number; b: number } }>(
  sumPath,
  {
    schema: {
      body: { type: "object", required: ["a", "b"], properties: { a: number, b: number } },
      response: { 200: { type: "object", required: ["v"], properties: { v: number } } },
    },
  },
  async ({ body }) => {
    await work(body.a);
    return { v: body.a + body.b };
  },
);
await app.listen({ port: 0, host: "127.0.0.1" });
ready((app.server.address() as AddressInfo).port);
