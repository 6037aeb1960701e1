import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { decodeRequest } from "./decode.ts";

/**
 * A collector in a process of its own: takes OTLP over HTTP, counts what it takes, and misbehaves as its path says. `/count/…` accepts,
 * others are named below. Asked by a message, it answers with what it has counted.
 */
const counts = { requests: 0, items: 0, names: [] as string[], wrong: [] as string[] };

const faults: Readonly<Record<string, (response: ServerResponse, request: IncomingMessage) => void>> = {
  garbage: (response) => {
    response.setHeader("content-type", "application/x-protobuf");
    response.end(Buffer.from("ffffffffff0aff", "hex"));
  },
  silent: () => {},
  endless: (response) => {
    const pour = (): void => {
      while (response.write(Buffer.alloc(16_384))) if (response.destroyed) return;
      response.once("drain", pour);
    };
    pour();
  },
  drip: (response) => {
    response.write("x");
    const timer = setInterval(() => response.write("x"), 50);
    response.on("close", () => clearInterval(timer));
  },
  cut: (response) => {
    response.writeHead(200, { "content-length": 100 });
    response.write("half");
    setImmediate(() => response.destroy());
  },
  reset: (_, request) => request.socket.resetAndDestroy(),
  rejecting: (response) => {
    response.setHeader("content-type", "application/x-protobuf");
    response.end(Buffer.from([0x0a, 2, 0x08, 3]));
  },
  redirect: (response) => {
    response.writeHead(307, { location: "/count/v1/traces" });
    response.end();
  },
};

function serve(request: IncomingMessage, response: ServerResponse): void {
  const fault = faults[request.url?.split("/")[1] ?? ""];
  const chunks: Buffer[] = [];
  request.on("error", () => {});
  response.on("error", () => {});
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    counts.requests++;
    if (fault !== undefined) fault(response, request);
    else {
      take(request, Buffer.concat(chunks));
      response.setHeader("content-type", "application/x-protobuf");
      response.end();
    }
  });
}

function take(request: IncomingMessage, sent: Buffer): void {
  try {
    const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
    if (request.headers["content-type"] !== "application/x-protobuf") throw new Error("content-type");
    const json = decodeRequest("Trace", body) as {
      resourceSpans: { scopeSpans: { spans: { name: string }[] }[] }[];
    };
    for (const { name } of json.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))) {
      counts.items++;
      if (counts.names.length < 10_000) counts.names.push(name);
    }
  } catch (error) {
    counts.wrong.push(String(error));
  }
}

process.on("message", () => process.send?.(counts));
process.on("disconnect", () => process.exit(0));
const server = createServer(serve);
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
