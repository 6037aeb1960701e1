import { constants, type Http2Stream } from "node:http2";
import { addAbortSignal } from "node:stream";

/** Under this name Node resets with CANCEL what it destroys. */
const aborted = AbortSignal.abort();

/**
 * Breaks a stream of HTTP/2 off, so that the peer cannot take what it has of it for all. (Node's own `close` says that all was sent before it says that it was
 * broken off.) What has arrived and was not read is thrown away. Somebody must listen to its errors.
 */
export function breakOff(stream: Http2Stream, code: "cancel" | "internal"): void {
  if (code === "cancel") addAbortSignal(aborted, stream);
  else stream.destroy(new Error("broken off"));
}

/** Breaks a stream of HTTP/2 off on which all was received, unless all was sent: what is on its way nobody waits for, and no write of it would ever end. */
export function stopSending(stream: Http2Stream): void {
  if (stream.writableLength > 0 || !stream.writableEnded) breakOff(stream, "cancel");
}

/**
 * Lets go of a stream of HTTP/2 on which all was sent, and throws away what has arrived and was not read. One that its peer had ended meanwhile is destroyed by
 * Node only when it has been read to its end: unread, it would be there, and hold its connection open, for ever.
 */
export function letGo(stream: Http2Stream): void {
  if (stream.destroyed) return;
  stream.close(constants.NGHTTP2_NO_ERROR);
  // Whoever read it so far reads no more, and would keep it from flowing.
  stream.removeAllListeners("readable");
  stream.resume();
}
