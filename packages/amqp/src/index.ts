export type { BrokerOptions } from "./broker.ts";
export { type AmqpClient, type AmqpClientOptions, amqpClient } from "./client.ts";
export { type AmqpOptions, amqp } from "./listener.ts";
