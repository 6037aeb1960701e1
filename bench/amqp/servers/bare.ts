import { connect } from "amqplib";
import { ready } from "../../lib/ready.ts";

const port = Number(process.argv[2]);
const connection = await connect(`amqp://127.0.0.1:${port}`, { noDelay: true });
const channel = await connection.createChannel();
await channel.prefetch(256);
await channel.assertQueue("calc.bare", { durable: true, autoDelete: true });
await channel.consume("calc.bare", (message) => {
  const { a, b } = JSON.parse(message!.content.toString()) as { a: number; b: number };
  const { replyTo, correlationId } = message!.properties as { replyTo: string; correlationId: string };
  channel.sendToQueue(replyTo, Buffer.from(JSON.stringify({ v: a + b })), { correlationId });
  channel.ack(message!);
});
ready(port);
