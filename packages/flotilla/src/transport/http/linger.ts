import { constants, type Http2ServerRequest } from "node:http2";
import type { Socket } from "node:net";
import type { Clock } from "../../clock/clock.ts";
import type { Request } from "./http-message.ts";

/** How long the rest of a request that was answered early may still arrive before it is cut off, milliseconds. */
const LINGER_MS = 2000;

/**
 * The answer is out but the request is still coming in (too large, too late). Closing at once would reset the connection under
 * the answer, so the rest is thrown away for a moment first.
 */
export function linger(req: Request, clock: Clock): void {
  // Whoever read it so far reads no more, and would keep it from flowing.
  req.removeAllListeners("readable");
  req.resume();
  const timer = clock.schedule(LINGER_MS, () => {
    if (req.httpVersionMajor < 2) req.destroy();
    // RFC 9113, section 8.1: the answer counts, and the client need not send the rest.
    else (req as unknown as Http2ServerRequest).stream.close(constants.NGHTTP2_NO_ERROR);
  });
  timer.unref();
  const release = req.httpVersionMajor < 2 ? holdOpen(req.socket) : undefined;
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
    Reflect.deleteProperty(socket, "destroySoon");
    if (closing) socket.destroySoon();
    closing = false;
  };
}
