import { constants, type Http2Stream } from "node:http2";
import { Duplex, Readable } from "node:stream";

const whole = Symbol("flotilla.http2.whole");
type Watched = Http2Stream & { [whole]?: boolean };

/** To be called before anything is received. */
export function watchEnd(stream: Http2Stream): void {
  (stream as Watched)[whole] = stream.readableEnded;
  stream.push = push;
  stream.destroy = destroy;
}

/**
 * Whether the peer has said that what it sent on a stream of HTTP/2 is all, so that what can be read of it is: Node ends a stream in the same way when it was
 * broken off, or the connection was lost.
 */
export function isWhole(stream: object): boolean {
  return (stream as Watched)[whole] === true;
}

/** Shared by all streams: `this` is the stream. What ends one that is not closed is the peer's word. */
function push(this: Http2Stream, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (chunk === null && !this.closed) (this as Watched)[whole] = true;
  return Readable.prototype.push.call(this, chunk, encoding);
}

/** A peer may break off what it has ended (Node does both at once); a connection that is lost behind the end takes nothing back. */
function destroy(this: Http2Stream, error?: Error | null): Http2Stream {
  const { session } = this;
  const lost = session === undefined || session.destroyed || session.socket.destroyed;
  if (!this.destroyed && !lost && this.closed && this.rstCode !== constants.NGHTTP2_NO_ERROR) {
    (this as Watched)[whole] = false;
  }
  Duplex.prototype.destroy.call(this, error ?? undefined);
  return this;
}
