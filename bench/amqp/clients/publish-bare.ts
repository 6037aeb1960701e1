import { connect } from "amqplib";
import { serveRateOrLatency } from "../../lib/worker.ts";

const connection = await connect(`amqp://127.0.0.1:${process.argv[2]}`, { noDelay: true });
const channel = await connection.createConfirmChannel();
let made = 0;

serveRateOrLatency(
  () =>
    new Promise<void>((resolve, reject) => {
      channel.publish(
        "calc.v1.Calculator",
        "sum",
        Buffer.from(JSON.stringify({ a: 1, b: 2 })),
        {
          persistent: true,
          mandatory: true,
          contentType: "application/json",
          type: "calc.v1.Calculator/sum",
          messageId: String(made++),
        },
        (error: unknown) => (error === null ? resolve() : reject(error)),
      );
    }),
);
