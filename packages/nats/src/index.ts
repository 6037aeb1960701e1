export { natsClient } from "./client.ts";
export type { NatsClientOptions } from "./client-options.ts";
export type { BrokerOptions, NatsCommonOptions } from "./options.ts";
export { type NatsOptions, nats } from "./server.ts";
