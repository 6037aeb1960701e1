export type { LifecycleEvent } from "../endpoint/lifecycle-event.ts";
export type { AdminOptions, ReadinessCheck } from "./admin.ts";
export { type Channel, type ChannelOptions, channel, client } from "./channel.ts";
export type { Closable } from "./closable.ts";
export { ConfigError, readConfig } from "./config.ts";
export { type ClientDefaultsOptions, clientDefaults, type ServerDefaultsOptions, serverDefaults } from "./defaults.ts";
export { type Host, host } from "./host.ts";
export type { HostOptions, RunningHost } from "./host-options.ts";
export { type ImplementOptions, implement } from "./implement.ts";
