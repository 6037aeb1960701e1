export type { BrokerOptions } from "./broker.ts";
export { type AmqpClient, type AmqpClientOptions, amqpClient } from "./client.ts";
export { type ConsumerOptions, consumer } from "./consumer.ts";
export { type AmqpOptions, amqp } from "./listener.ts";
export { type Publisher, type PublisherOptions, publisher } from "./publisher.ts";
