// Declares what the publishers publish to: the exchange of a contract, and a queue that keeps the last messages only.
import { connect } from "amqplib";
import { ready } from "../../lib/ready.ts";

const port = Number(process.argv[2]);
const connection = await connect(`amqp://127.0.0.1:${port}`);
const channel = await connection.createChannel();
await channel.assertExchange("calc.v1.Calculator", "topic", { durable: true });
await channel.assertQueue("sink", {
  durable: true,
  arguments: { "x-queue-type": "quorum", "x-max-length": 1000 },
});
await channel.bindQueue("sink", "calc.v1.Calculator", "#");
ready(port);
