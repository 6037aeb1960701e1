import { connect } from "@nats-io/transport-node";
import { ready } from "../../lib/ready.ts";

const port = Number(process.argv[2]);
const connection = await connect({ servers: `127.0.0.1:${port}`, noAsyncTraces: true });
connection.subscribe("calc.sum", {
  queue: "calculator",
  callback: (_error, msg) => {
    const { a, b } = msg.json<{ a: number; b: number }>();
    msg.respond(JSON.stringify({ v: a + b }));
  },
});
await connection.flush();
ready(port);
