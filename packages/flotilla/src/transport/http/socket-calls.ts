import type { Http2ServerResponse } from "node:http2";
import type { Socket } from "node:net";
import type { Request, Response } from "./http-message.ts";

/** A call that ends when its connection does. */
export interface OnSocket {
  /** The connection has closed, or the HTTP/2 stream has. */
  closed(): void;
}

const calls = Symbol("flotilla.calls");
type Watched = Socket & { [calls]?: Set<OnSocket> | OnSocket | undefined };

/**
 * Tells a call when its client has gone. HTTP/1.1 gets one listener a connection in place of one a response, since a
 * connection carries many calls, nearly always one at a time.
 */
export function watchClose(req: Request, res: Response, call: OnSocket): void {
  if (req.httpVersionMajor !== 1) {
    // node's response to a HEAD does not tell when its stream is reset.
    (res as unknown as Http2ServerResponse).stream.on("close", () => call.closed());
    return;
  }
  const socket = req.socket as Watched;
  if (!(calls in socket)) socket.on("close", tellAll);
  const held = socket[calls];
  if (held === undefined) socket[calls] = call;
  else if (held instanceof Set) held.add(call);
  // Pipelined.
  else socket[calls] = new Set([held, call]);
}

/** The call has ended. Safe to call twice. */
export function unwatchClose(req: Request, call: OnSocket): void {
  if (req.httpVersionMajor !== 1) return;
  const socket = req.socket as Watched;
  const held = socket[calls];
  if (held === call) socket[calls] = undefined;
  else if (held instanceof Set) held.delete(call);
}

function tellAll(this: Watched): void {
  const held = this[calls];
  this[calls] = undefined;
  if (held instanceof Set) for (const call of held) call.closed();
  else held?.closed();
}
