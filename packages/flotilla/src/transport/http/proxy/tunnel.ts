import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../../../clock/clock.ts";
import { cutWhenParted } from "../parting.ts";

/**
 * Carries bytes between a client and an upstream until either ends the connection, each at the pace of the other. It is over when the client's connection has
 * closed.
 *
 * @param head - what the client has sent already.
 * @param moved - told of bytes, those of the client and those of the upstream.
 */
export function tunnel(
  client: Socket,
  upstream: Duplex,
  head: Buffer,
  clock: Clock,
  moved: (sent: number, received: number) => void,
): void {
  if (head.byteLength > 0) client.unshift(head);
  client.on("data", (chunk: Buffer) => moved(chunk.byteLength, 0));
  upstream.on("data", (chunk: Buffer) => moved(0, chunk.byteLength));
  client.pipe(upstream).pipe(client);
  // The protocol that is carried does not know half a connection: whoever ends it is gone, and what it has sent goes out first.
  for (const side of [client, upstream as Socket]) {
    side.on("finish", () => {
      // What the client sends has nowhere to go, but left unread it would have the kernel reset the connection, and lose what is on its way there.
      client.resume();
      cutWhenParted(side, clock);
    });
  }
  client.on("close", () => upstream.destroy());
  upstream.on("close", () => client.end());
}
