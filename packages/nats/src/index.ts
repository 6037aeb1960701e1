export { natsClient } from "./client.ts";
export type { NatsClientOptions } from "./client-options.ts";
export { jetstreamClient } from "./jetstream/client.ts";
export type { JetStreamClientOptions, JetStreamCommonOptions, JetStreamOptions } from "./jetstream/options.ts";
export { jetstream } from "./jetstream/server.ts";
export type { BrokerOptions, NatsCommonOptions } from "./options.ts";
export { type NatsOptions, nats } from "./server.ts";
