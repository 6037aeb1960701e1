import { connect } from "amqplib";
import { serveRateOrLatency } from "../../lib/worker.ts";

const connection = await connect(`amqp://127.0.0.1:${process.argv[2]}`, { noDelay: true });
const channel = await connection.createChannel();
const waiting = new Map<string, (answer: string) => void>();
await channel.consume(
  "amq.rabbitmq.reply-to",
  (message) => {
    const id = message!.properties.correlationId as string;
    waiting.get(id)?.(message!.content.toString());
    waiting.delete(id);
  },
  { noAck: true },
);
let made = 0;

serveRateOrLatency(async () => {
  const correlationId = String(made++);
  const answer = await new Promise<string>((resolve) => {
    waiting.set(correlationId, resolve);
    channel.publish("", "calc.bare", Buffer.from(JSON.stringify({ a: 1, b: 2 })), {
      replyTo: "amq.rabbitmq.reply-to",
      correlationId,
      expiration: "10000",
      mandatory: true,
    });
  });
  if ((JSON.parse(answer) as { v: number }).v !== 3) throw new Error("a wrong answer");
});
