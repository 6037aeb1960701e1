import type { AddressInfo } from "node:net";
import httpProxy from "@fastify/http-proxy";
import fastify from "fastify";
import { ready } from "../lib/ready.ts";

const app = fastify();
await app.register(httpProxy, { upstream: process.argv[2] ?? "" });
await app.listen({ port: 0, host: "127.0.0.1" });
ready((app.server.address() as AddressInfo).port);
