import { compress, decompress, type Encoding, parseEncoding } from "../../codec/compression.ts";
import { fromConnectError } from "../../codec/connect-error.ts";
import { COMPRESSED, decodeEnvelopes, END_STREAM, encodeEnvelope, encodeTextEnvelope } from "../../codec/envelope.ts";
import { jsonText } from "../../codec/json.ts";
import type { Context } from "../../context/context.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { unreadableAnswer } from "../../endpoint/unreadable-answer.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { responseObserver } from "../../metadata/call.ts";
import { Metadata, type MetadataRecord, newRecord } from "../../metadata/metadata.ts";
import { responseError } from "./client-errors.ts";
import { callHeaders } from "./client-headers.ts";
import type { HttpClientSettings } from "./client-options.ts";

/** An answer whose body is still coming. Leaving the body early cancels the call. */
export interface OpenAnswer {
  readonly status: number;
  readonly headers: MetadataRecord;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Sends a request with a streaming body; resolves when the answer's headers are there. Either HTTP version has its own. */
export type OpenStream = (
  ctx: Context,
  path: string,
  headers: readonly string[],
  body: AsyncIterable<Uint8Array>,
) => Promise<OpenAnswer>;

const COMPRESS_MIN_BYTES = 1024;

/** The endpoint that calls a streaming method by the Connect protocol. */
export function streamEndpoint(method: MethodInfo, settings: HttpClientSettings, open: OpenStream): Endpoint {
  const codec = new StreamCodec(method, settings);
  const path = `/${method.procedure}`;
  const many = method.kind !== "server_stream";
  return async function httpStream(ctx, request) {
    const messages = many ? (request as AsyncIterable<unknown>) : once(request);
    const answer = await open(ctx, path, callHeaders(ctx, codec.headers), codec.encode(messages));
    if (answer.status !== 200) throw responseError(answer.status, answer.headers, await collect(answer.body));
    const responses = codec.decode(ctx, answer);
    return method.kind === "client_stream" ? onlyOne(responses, method.procedure) : begun(responses);
  };
}

/** Messages to envelopes and back. */
class StreamCodec {
  readonly headers: readonly string[];
  readonly #method: MethodInfo;
  readonly #maxBytes: number;
  readonly #compress: Encoding | undefined;
  readonly #binary: boolean;

  constructor(method: MethodInfo, settings: HttpClientSettings) {
    this.#method = method;
    this.#maxBytes = settings.maxMessageBytes;
    this.#compress = settings.compress;
    this.#binary = settings.format === "proto" && method.input.binary !== undefined;
    this.headers = [
      "content-type",
      this.#binary ? "application/connect+proto" : "application/connect+json",
      "connect-protocol-version",
      "1",
      ...(settings.compress === undefined
        ? []
        : ["connect-content-encoding", settings.compress, "connect-accept-encoding", "br, gzip"]),
    ];
  }

  async *encode(messages: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
    const { input } = this.#method;
    for await (const message of messages) {
      const frame = this.#binary
        ? encodeEnvelope(0, input.binary!.encode(message))
        : encodeTextEnvelope(0, input.toJson(message));
      if (this.#compress === undefined || frame.byteLength - 5 < COMPRESS_MIN_BYTES) yield frame;
      else yield encodeEnvelope(COMPRESSED, await compress(this.#compress, frame.subarray(5)));
    }
  }

  async *decode(ctx: Context, answer: OpenAnswer): AsyncGenerator {
    const { output, procedure } = this.#method;
    const encoding = parseEncoding(answer.headers["connect-content-encoding"] as string | undefined, "internal");
    let end: Uint8Array | undefined;
    for await (const { flags, data } of decodeEnvelopes(answer.body, this.#maxBytes, "internal")) {
      if (end !== undefined)
        throw new ServiceError("internal", `${procedure}: a message came after the end of the stream`);
      const plain = flags & COMPRESSED ? await this.#decompress(encoding, data) : data;
      if (flags & END_STREAM) {
        // The body ends with it: who stopped reading here would break off what is complete, and many of those end a connection of HTTP/2.
        end = plain;
        continue;
      }
      let message: unknown;
      try {
        message = this.#binary ? output.binary!.decode(plain) : output.fromJson(jsonText(plain));
      } catch (error) {
        throw unreadableAnswer(procedure, error);
      }
      yield message;
    }
    if (end !== undefined) return endOfStream(ctx, answer.headers, end);
    throw new ServiceError("internal", `${procedure}: the stream ended without its end-of-stream message`);
  }

  #decompress(encoding: Encoding | undefined, data: Uint8Array): Promise<Uint8Array> {
    if (encoding !== undefined) return decompress(encoding, data, this.#maxBytes, "internal");
    throw new ServiceError("internal", "a message is compressed but header connect-content-encoding names no encoding");
  }
}

/** @throws ServiceError the one the stream ended with, if any. */
function endOfStream(ctx: Context, headers: MetadataRecord, data: Uint8Array): void {
  let end: { error?: unknown; metadata?: Record<string, readonly string[]> };
  try {
    end = (JSON.parse(Buffer.from(data).toString("utf8")) ?? {}) as typeof end;
  } catch (error) {
    throw new ServiceError("internal", "the end-of-stream message is not valid JSON", { cause: error });
  }
  const trailers = newRecord();
  const flat: Record<string, string> = {};
  for (const [name, values] of Object.entries(end.metadata ?? {})) {
    if (!Array.isArray(values)) continue;
    trailers[name.toLowerCase()] = values.map(String);
    flat[name.toLowerCase()] = values.join(", ");
  }
  responseObserver(ctx)?.(new Metadata(headers), new Metadata(trailers));
  if (end.error !== undefined) throw fromConnectError(end.error, undefined, flat);
}

/**
 * A stream that has its first word. The protocol sends a head before any error: only what follows it tells whether the stream has begun or the call failed, which
 * may then be tried again.
 */
async function begun(responses: AsyncIterableIterator<unknown>): Promise<AsyncIterableIterator<unknown>> {
  let first: IteratorResult<unknown> | undefined = await responses.next();
  const stream: AsyncIterableIterator<unknown> = {
    async next() {
      const result = first ?? (await responses.next());
      first = undefined;
      return result;
    },
    return() {
      first = undefined;
      return responses.return!();
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return stream;
}

/** The one message of a stream. @throws ServiceError when there is none, or more. */
export async function onlyOne(responses: AsyncGenerator, procedure: string): Promise<unknown> {
  const first = await responses.next();
  if (first.done)
    throw new ServiceError("unimplemented", `${procedure} must answer with exactly one message, got none`);
  const second = await responses.next();
  if (!second.done) {
    await responses.return(undefined);
    throw new ServiceError("unimplemented", `${procedure} must answer with exactly one message, got more`);
  }
  return first.value;
}

/** A stream of one. */
export async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}

/** At most so much of an error's body is read. */
const MAX_ERROR_BYTES = 64 * 1024;

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > MAX_ERROR_BYTES) break;
  }
  return Buffer.concat(chunks);
}
