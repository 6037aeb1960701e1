import { connect } from "node:http2";
import { serveKind, TICKS } from "../serve.ts";
import { paths, readDoubles, writeDoubles } from "../wire.ts";

const session = connect(`http://127.0.0.1:${process.argv[2]}`, { settings: { enablePush: false } });

function call(path: string, a: number, b: number, read: (body: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => void chunks.push(chunk));
    stream.on("trailers", (trailers) => {
      if (trailers["grpc-status"] !== "0") return reject(new Error(`status ${String(trailers["grpc-status"])}`));
      try {
        read(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
        resolve();
      } catch (error) {
        reject(error);
      }
    });
    stream.on("error", reject);
    stream.end(writeDoubles(a, b));
  });
}

serveKind({
  sum: () =>
    call(paths.sum, 1, 2, (body) => {
      if (readDoubles(body, 5, body.length).first !== 3) throw new Error("a wrong answer");
    }),
  ticks: () =>
    call(paths.ticks, TICKS, 7, (body) => {
      let count = 0;
      for (let at = 0; at < body.length; at += 14) if (readDoubles(body, at + 5, at + 14).first === 7) count++;
      if (count !== TICKS) throw new Error(`${count} messages`);
    }),
});
