import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { ready } from "../../lib/ready.ts";
import { paths, readDoubles, writeDoubles } from "../wire.ts";

const head = { ":status": 200, "content-type": "application/grpc" };
const options = { waitForTrailers: true, sendDate: false };
const trailers = { "grpc-status": "0" };
const ignore = (): void => {};

function onTrailers(this: ServerHttp2Stream): void {
  this.sendTrailers(trailers);
}

const server = createServer();
server.on("stream", (stream, headers) => {
  stream.on("error", ignore);
  stream.on("wantTrailers", onTrailers);
  let body: Buffer | undefined;
  stream.on("data", (chunk: Buffer) => {
    body = body === undefined ? chunk : Buffer.concat([body, chunk]);
  });
  stream.on("end", () => {
    const { first, second } = readDoubles(body!, 5, body!.length);
    stream.respond(head, options);
    if (headers[":path"] === paths.sum) {
      stream.end(writeDoubles(first + second));
      return;
    }
    let left = first;
    const go = (): void => {
      while (left-- > 0) if (!stream.write(writeDoubles(second))) return;
      stream.end();
      left = 0;
      stream.off("drain", go);
    };
    stream.on("drain", go);
    go();
  });
});
server.listen(0, "127.0.0.1", () => ready((server.address() as AddressInfo).port));
