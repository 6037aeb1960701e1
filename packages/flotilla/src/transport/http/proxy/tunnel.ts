import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

/**
 * Carries bytes between a client and an upstream until either ends the connection, each at the pace of the other.
 *
 * @param head - what the client has sent already.
 * @param moved - told of bytes, those of the client and those of the upstream.
 */
export function tunnel(
  client: Socket,
  upstream: Duplex,
  head: Buffer,
  moved: (sent: number, received: number) => void,
): void {
  if (head.byteLength > 0) client.unshift(head);
  client.on("data", (chunk: Buffer) => moved(chunk.byteLength, 0));
  upstream.on("data", (chunk: Buffer) => moved(0, chunk.byteLength));
  client.pipe(upstream).pipe(client);
  // The protocol that is carried does not know half a connection: whoever ends it is gone, and what it has sent goes out first.
  upstream.on("finish", () => upstream.destroy());
  client.on("finish", () => client.destroy());
  client.on("close", () => upstream.destroy());
  upstream.on("close", () => client.destroySoon());
}
