import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { countSpans } from "../lib/count-spans.ts";

/**
 * Takes traces as OTLP protobuf (or as Zipkin JSON under /api/v2/spans), counts the spans, and tells how many there were when
 * it is sent a message. As little work as counting needs, since it shares its core with the load generator.
 */
let spans = 0;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    // One that hangs.
    if (request.url?.startsWith("/silent") === true) return;
    const sent = Buffer.concat(chunks);
    const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
    spans += request.url === "/api/v2/spans" ? (JSON.parse(body.toString()) as unknown[]).length : countSpans(body);
    response.writeHead(200, { "content-type": "application/x-protobuf", "content-length": 0 });
    response.end();
  });
});
process.on("disconnect", () => process.exit(0));
process.on("message", () => process.send?.({ spans }));
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
