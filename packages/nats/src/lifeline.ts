import type { Socket } from "node:net";
import type { NatsConnection } from "@nats-io/nats-core";
import type { NatsConnectionImpl } from "@nats-io/nats-core/internal";

/**
 * Says whether a connection, as it is now, keeps the process alive. The client library has no word for it: its socket always does, and so does
 * the timer of its pings, which is another after each of them.
 */
export function keepAlive(connection: NatsConnection, wanted: boolean): void {
  const { transport, heartbeats } = (connection as NatsConnectionImpl).protocol;
  (heartbeats.timer as NodeJS.Timeout | undefined)?.unref();
  const { socket } = transport as { socket?: Socket };
  if (wanted) socket?.ref();
  else socket?.unref();
}
