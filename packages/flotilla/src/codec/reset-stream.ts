import type { Http2Stream } from "node:http2";

/**
 * Ends a stream of HTTP/2 before its end, and throws away what has arrived and was not read. One that its peer had ended meanwhile is destroyed by Node
 * only when it has been read to its end: unread, it would be there, and hold its connection open, for ever.
 */
export function resetStream(stream: Http2Stream, code: number): void {
  stream.close(code);
  // Whoever read it so far reads no more, and would keep it from flowing.
  stream.removeAllListeners("readable");
  stream.resume();
}
