import { Agent, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import httpProxy from "http-proxy";
import { ready } from "../lib/ready.ts";

// Without an agent it opens a connection for each request.
const agent = new Agent({ keepAlive: true, maxSockets: 128 });
const proxy = httpProxy.createProxyServer({ target: process.argv[2] ?? "", agent, xfwd: true });
const server = createServer((req, res) => proxy.web(req, res));
server.listen(0, "127.0.0.1", () => ready((server.address() as AddressInfo).port));
