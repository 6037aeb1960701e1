import type { ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import type { Clock } from "../../clock/clock.ts";
import { drained } from "../../codec/drained.ts";
import { breakOff, stopSending } from "../../codec/reset-stream.ts";
import { isWhole } from "../../codec/whole.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc } from "../../context/with.ts";
import { ServiceError } from "../../errors/service-error.ts";
import type { MetadataRecord } from "../../metadata/metadata.ts";
import { readBody } from "./body-reader.ts";
import { DRAIN_BYTES, DRAIN_MS, type OpenStream } from "./client-stream.ts";
import type { RoundTrip } from "./client-unary.ts";
import { type Http2Peer, plainHeaders } from "./http2-session.ts";

interface Head {
  readonly status: number;
  readonly headers: MetadataRecord;
  /** Takes the stream off its context. */
  readonly stop: () => void;
}

/** Waits for the answer's headers. The end of the context resets the stream, before and after. */
function headOf(ctx: Context, stream: ClientHttp2Stream, peer: Http2Peer): Promise<Head> {
  return new Promise((resolve, reject) => {
    const stop = afterFunc(ctx, () => {
      reject(ctx.err!);
      breakOff(stream, "cancel");
    });
    stream.on("response", (headers: IncomingHttpHeaders) => {
      resolve({ status: Number(headers[":status"]), headers: plainHeaders(headers), stop });
    });
    stream.on("error", (error: Error) => reject(ctx.err ?? peer.failure(stream, error)));
    stream.on("close", () => {
      stop();
      reject(ctx.err ?? peer.failure(stream, new Error("the stream was closed before it was answered")));
    });
  });
}

/** Unary calls over HTTP/2. One that the server did not take in, because it is about to close the connection, goes over another. */
export function http2RoundTrip(peer: Http2Peer, maxBodyBytes: number): RoundTrip {
  const roundTrip: RoundTrip = async (ctx, verb, path, headers, body) => {
    const stream = peer.request(verb, path, headers);
    const head = headOf(ctx, stream, peer);
    stream.end(body);
    const { status, headers: received } = await head;
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of answerBody(ctx, stream, peer)) {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size > maxBodyBytes) {
        throw new ServiceError("resource_exhausted", `the response is over the limit of ${maxBodyBytes} bytes`);
      }
    }
    return { status, headers: received, body: Buffer.concat(chunks) };
  };
  return async (...call) => {
    try {
      return await roundTrip(...call);
    } catch (error) {
      if (!isRefused(error)) throw error;
      return roundTrip(...call);
    }
  };
}

/** Whether the peer did not take a call in, so that it may go over another connection. */
export function isRefused(error: unknown): boolean {
  if (!(error instanceof ServiceError) || error.retry?.unprocessed !== true) return false;
  return (error.cause as NodeJS.ErrnoException | undefined)?.code === "ERR_HTTP2_STREAM_ERROR";
}

/** Streams over HTTP/2, in both directions at once. */
export function http2Stream(peer: Http2Peer): OpenStream {
  return async (ctx, path, headers, body) => {
    const stream = peer.request("POST", path, headers);
    const head = headOf(ctx, stream, peer);
    stream.on("close", () => body.leave());
    let ownFailure: unknown;
    sendBody(stream, body).catch((error: unknown) => {
      // The caller's own iterator failed: that is the call's error, and the server must hear that the rest will not come.
      ownFailure = error;
      breakOff(stream, "cancel");
    });
    try {
      const { status, headers: received, stop } = await head;
      let released = false;
      return {
        status,
        headers: received,
        body: preferring(
          () => ownFailure,
          answerBody(ctx, stream, peer, () => released),
        ),
        release() {
          released = true;
          stop();
          if (!stream.writableEnded) stopSending(stream);
          body.leave();
        },
        cancel() {
          if (!released) breakOff(stream, "cancel");
        },
      };
    } catch (error) {
      throw ownFailure ?? error;
    }
  };
}

async function* preferring(ownFailure: () => unknown, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    throw ownFailure() ?? error;
  }
  if (ownFailure() !== undefined) throw ownFailure();
}

/** Sends a body at the pace at which the other side takes it. */
export async function sendBody(stream: ClientHttp2Stream, body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const frame of body) {
    if (stream.closed || stream.destroyed) return;
    if (!stream.write(frame)) await drained(stream);
  }
  // Let go of by what ended the call: the other side must not take it for the end.
  if (!stream.closed && !stream.destroyed) stream.end();
}

/** The answer's body; a reader that leaves early resets the stream, unless it was released. */
async function* answerBody(
  ctx: Context,
  stream: ClientHttp2Stream,
  peer: Http2Peer,
  isReleased: () => boolean = () => false,
): AsyncGenerator<Uint8Array> {
  let finished = false;
  try {
    yield* readBody(stream, ctx, () => {});
    if (!isWhole(stream)) throw new Error("the answer was broken off");
    finished = true;
  } catch (error) {
    // Of the body it is only known that it broke off.
    const cause = error instanceof ServiceError ? (error.cause ?? new Error(error.message)) : error;
    throw ctx.err ?? peer.failure(stream, cause);
  } finally {
    if (finished) stopSending(stream);
    else if (isReleased()) drainAway(stream, ctx.clock);
    else breakOff(stream, "cancel");
  }
}

/** Throws away what still comes of an answer that nobody reads, until it ends; what does not end soon is broken off. */
function drainAway(stream: ClientHttp2Stream, clock: Clock): void {
  // Whoever read it so far reads no more, and would keep it from flowing.
  stream.removeAllListeners("readable");
  stream.resume();
  if (stream.destroyed || isWhole(stream)) return;
  let bytes = 0;
  const timer = clock.schedule(DRAIN_MS, () => breakOff(stream, "cancel"));
  timer.unref();
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.byteLength;
    if (bytes > DRAIN_BYTES) breakOff(stream, "cancel");
  });
  stream.on("close", () => timer.cancel());
}
