import { Agent, createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { ready } from "../lib/ready.ts";

interface HttpProxy {
  readonly createProxyServer: (options: object) => { web(req: IncomingMessage, res: ServerResponse): void };
}

// It has no types of its own.
const httpProxy = createRequire(import.meta.url)("http-proxy") as HttpProxy;

// Without an agent it opens a connection for each request.
const agent = new Agent({ keepAlive: true, maxSockets: 128 });
const proxy = httpProxy.createProxyServer({ target: process.argv[2], agent, xfwd: true });
const server = createServer((req, res) => proxy.web(req, res));
server.listen(0, "127.0.0.1", () => ready((server.address() as AddressInfo).port));
