import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ready } from "../lib/ready.ts";
import { sumPath } from "../lib/sum.ts";

function reply(response: ServerResponse, status: number, value: object): void {
  const body = JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

function sum(text: string, response: ServerResponse): void {
  let input: { a?: unknown; b?: unknown } | null;
  try {
    input = JSON.parse(text);
  } catch {
    reply(response, 400, { error: "the body is not JSON" });
    return;
  }
  const a = input?.a;
  const b = input?.b;
  if (typeof a === "number" && typeof b === "number") reply(response, 200, { v: a + b });
  else reply(response, 400, { error: "a and b must be numbers" });
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== "POST" || request.url !== sumPath) {
    request.resume();
    reply(response, 404, { error: "not found" });
    return;
  }
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => sum(Buffer.concat(chunks).toString(), response));
}

const server = createServer(serve);
server.listen(0, "127.0.0.1", () => ready((server.address() as AddressInfo).port));
