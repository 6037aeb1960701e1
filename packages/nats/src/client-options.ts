import {
  checkServers,
  MAX_BEAT_MS,
  MIN_BEAT_MS,
  type NatsCommonOptions,
  type NatsSettings,
  settle,
} from "./options.ts";

/** Options of {@link natsClient}. `maxConcurrentCalls` counts the calls in flight over one connection. */
export interface NatsClientOptions extends NatsCommonOptions {
  /** Further servers of the same cluster, `nats://host:port`: one of all is taken by chance, another when it is down. Default none. */
  readonly servers?: readonly string[];
  /** How often the peer of a stream hears from this end, and must be heard of, milliseconds, 10 to 600000; silent for three of these it is taken to be gone. Default 5000. */
  readonly heartbeatMs?: number;
}

export interface ClientSettings extends NatsSettings {
  readonly servers: readonly string[];
  readonly heartbeatMs: number;
}

/** @throws TypeError naming the option that is not legal. */
export function settleClient(who: string, options: NatsClientOptions): ClientSettings {
  const { servers = [], heartbeatMs = 5000 } = options;
  if (servers.length > 0) checkServers(who, servers);
  if (!(heartbeatMs >= MIN_BEAT_MS && heartbeatMs <= MAX_BEAT_MS)) {
    throw new TypeError(`${who}: heartbeatMs must be from ${MIN_BEAT_MS} to ${MAX_BEAT_MS}, got ${heartbeatMs}`);
  }
  return { ...settle(who, options), servers, heartbeatMs: Math.floor(heartbeatMs) };
}
