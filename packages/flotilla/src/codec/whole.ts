import { constants, type Http2Stream } from "node:http2";
import { Readable } from "node:stream";

const ended = Symbol("flotilla.http2.ended");
type Watched = Http2Stream & { [ended]?: boolean };

/** To be called before anything is received. */
export function watchEnd(stream: Http2Stream): void {
  (stream as Watched)[ended] = stream.readableEnded;
  stream.push = push;
}

/**
 * Whether the peer has said that a stream of HTTP/2 was all, of one that was read to its end: Node ends it in the same way when it was broken off, or the
 * connection was lost.
 */
export function isWhole(stream: Http2Stream): boolean {
  return (stream as Watched)[ended] === true && stream.rstCode === constants.NGHTTP2_NO_ERROR;
}

/** Shared by all streams: `this` is the stream. What ends one that is not closed is the peer's word. */
function push(this: Http2Stream, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (chunk === null && !this.closed) (this as Watched)[ended] = true;
  return Readable.prototype.push.call(this, chunk, encoding);
}
