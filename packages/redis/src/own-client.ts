import { createClient } from "@redis/client";
import type { Random } from "flotilla/clock";
import type { RedisScripts } from "./redis-scripts.ts";

const CONNECT_TIMEOUT_MS = 2_000;
/** A peer that is silent for so long, although it is asked every second, is gone without having said so. */
const SILENT_MS = 5_000;
const PING_MS = 1_000;
const FIRST_RECONNECT_MS = 50;
const MAX_RECONNECT_MS = 2_000;
/** Commands that wait to be sent or answered; a decision that waits any longer is made without Redis. */
const MAX_COMMANDS = 10_000;

/** A client that connects by itself, again and again, and keeps no command while it has no connection. */
export function ownClient(
  url: string,
  random: Random,
  onError: (error: unknown) => void,
): { redis: RedisScripts; close: () => Promise<void> } {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    commandsQueueMaxLength: MAX_COMMANDS,
    pingInterval: PING_MS,
    socket: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SILENT_MS,
      reconnectStrategy: (retries) =>
        Math.min(MAX_RECONNECT_MS, FIRST_RECONNECT_MS * 2 ** retries) * (1 - random.next() / 2),
    },
  });
  // Without a listener the failure of a connection would end the process.
  client.on("error", onError);
  client.connect().catch(onError);
  return {
    redis: client,
    close: async () => {
      client.destroy();
    },
  };
}
