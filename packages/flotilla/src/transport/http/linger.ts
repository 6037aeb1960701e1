import { constants, type Http2ServerRequest } from "node:http2";
import { Socket } from "node:net";
import type { Clock } from "../../clock/clock.ts";
import type { Request } from "./http-message.ts";

/** How long the rest of a request that was answered early may still arrive before it is cut off, milliseconds. */
const LINGER_MS = 2000;

/** A request of at most so many bytes arrives within {@link LINGER_MS} over any line. */
const SHORT_BYTES = 64 * 1024;

/**
 * Whether the rest of a request that is answered early may take longer than is waited for it: then the answer must say that the connection is closed
 * (RFC 9112, section 9.6), or the client's next request would be lost with it.
 */
export function endsConnection(req: Request): boolean {
  if (req.complete || req.httpVersionMajor > 1) return false;
  return req.headers["transfer-encoding"] !== undefined || Number(req.headers["content-length"] ?? 0) > SHORT_BYTES;
}

/**
 * The answer is out but the request was not read to its end (too large, too late, not wanted). What has arrived would keep the next request of the connection from
 * being read, so it is thrown away; and so is what still comes, for a moment: closing at once would reset the connection under the answer.
 */
export function linger(req: Request, clock: Clock): void {
  // Whoever read it so far reads no more, and would keep it from flowing.
  req.removeAllListeners("readable");
  req.resume();
  if (req.complete) return;
  const release = req.httpVersionMajor < 2 ? holdOpen(req.socket) : undefined;
  // Mostly the rest has arrived already, and is read in this turn.
  setImmediate(() => {
    if (req.complete || req.destroyed) release?.();
    else wait(req, clock, release);
  });
}

function wait(req: Request, clock: Clock, release: (() => void) | undefined): void {
  const timer = clock.schedule(LINGER_MS, () => {
    if (req.httpVersionMajor < 2) req.destroy();
    // RFC 9113, section 8.1: the answer counts, and the client need not send the rest.
    else (req as unknown as Http2ServerRequest).stream.close(constants.NGHTTP2_NO_ERROR);
  });
  timer.unref();
  const arrived = (): void => {
    timer.cancel();
    release?.();
  };
  req.once("close", arrived);
  req.once("end", arrived);
}

/**
 * Keeps a connection that ends with this answer (`connection: close`) open for as long: Node would close it when the answer
 * is out.
 *
 * @returns what lets it close.
 */
function holdOpen(socket: Socket): () => void {
  let closing = false;
  socket.destroySoon = () => {
    closing = true;
  };
  return () => {
    // Deleted, it would leave the socket slow for good; what was there before may be another request's.
    socket.destroySoon = destroySoon;
    if (closing) socket.destroySoon();
    closing = false;
  };
}

/** As sockets have it. */
function destroySoon(this: Socket): void {
  Socket.prototype.destroySoon.call(this);
}
