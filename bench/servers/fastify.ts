import type { AddressInfo } from "node:net";
import fastify from "fastify";
import { ready } from "../lib/ready.ts";
import { sumPath } from "../lib/sum.ts";

const number = { type: "number" } as const;

const app = fastify();
app.post<{ Body: { a: number; b: number } }>(
  sumPath,
  {
    schema: {
      body: { type: "object", required: ["a", "b"], properties: { a: number, b: number } },
      response: { 200: { type: "object", required: ["v"], properties: { v: number } } },
    },
  },
  async ({ body }) => ({ v: body.a + body.b }),
);
await app.listen({ port: 0, host: "127.0.0.1" });
ready((app.server.address() as AddressInfo).port);
