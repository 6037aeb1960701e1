import type { Socket } from "node:net";
import type { Clock } from "../../clock/clock.ts";

/** How long the peer may take to close its side of a connection, milliseconds. */
const PARTING_MS = 1000;

/**
 * Our side of the connection is closed, all sent: cuts it when the peer does not close its own, since it may be gone without
 * a word.
 */
export function cutWhenParted(socket: Socket, clock: Clock): void {
  const timer = clock.schedule(PARTING_MS, () => socket.destroy());
  timer.unref();
  socket.once("close", () => timer.cancel());
}
