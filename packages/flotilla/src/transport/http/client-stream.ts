import { compress, decompress, type Encoding, parseEncoding } from "../../codec/compression.ts";
import { fromConnectError } from "../../codec/connect-error.ts";
import { COMPRESSED, decodeEnvelopes, END_STREAM, encodeEnvelope, encodeTextEnvelope } from "../../codec/envelope.ts";
import { jsonText } from "../../codec/json.ts";
import type { Context } from "../../context/context.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { Outgoing } from "../../endpoint/outgoing.ts";
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
  /**
   * All that counts has come, and the call is over: the context does not end it any more. To be called by the reader, who then leaves the body. Its end is waited for
   * in the background, since who broke off what is complete would end connections: but only for a moment.
   */
  release(): void;
  /** The call is given up, whoever reads the body. Nothing happens after its end, or once it was released. */
  cancel(): void;
}

/** The body of a request. */
export interface SentBody extends AsyncIterable<Uint8Array> {
  /** The call is over. */
  leave(): void;
}

/** How long the end of a released body is waited for, milliseconds. */
export const DRAIN_MS = 2000;
/** How much may still come of it. */
export const DRAIN_BYTES = 64 * 1024;

/** Sends a request with a streaming body; resolves when the answer's headers are there. Either HTTP version has its own. */
export type OpenStream = (
  ctx: Context,
  path: string,
  headers: readonly string[],
  body: SentBody,
) => Promise<OpenAnswer>;

const COMPRESS_MIN_BYTES = 1024;

/** How a protocol writes and reads the messages of a stream. */
export interface StreamForm {
  encode(messages: AsyncIterable<unknown>): AsyncGenerator<Uint8Array>;
  /**
   * The messages of an answer. It is released once all that counts has come, and cancelled when it cannot be read.
   *
   * @param isLeft - whether its reader has given it up, and is to hear of no error.
   * @throws ServiceError the one that the call ended with, if any.
   */
  decode(ctx: Context, answer: OpenAnswer, isLeft: () => boolean): AsyncGenerator<unknown, void>;
}

/** The endpoint that calls a streaming method by the Connect protocol. */
export function streamEndpoint(method: MethodInfo, settings: HttpClientSettings, open: OpenStream): Endpoint {
  const codec = new StreamCodec(method, settings);
  const path = `/${method.procedure}`;
  const many = method.kind !== "server_stream";
  return async function httpStream(ctx, request) {
    const messages = many ? (request as AsyncIterable<unknown>) : once(request);
    const answer = await open(ctx, path, callHeaders(ctx, codec.headers), new RequestBody(codec, messages));
    if (answer.status !== 200) throw responseError(answer.status, answer.headers, await collect(answer.body));
    const responses = new Responses(codec, ctx, answer);
    return method.kind === "client_stream" ? onlyOne(responses, method.procedure) : responses.begun();
  };
}

/** The messages of a request on their way. */
export class RequestBody implements SentBody {
  readonly #form: StreamForm;
  readonly #messages: Outgoing<unknown>;

  constructor(form: StreamForm, messages: AsyncIterable<unknown>) {
    this.#form = form;
    this.#messages = new Outgoing(messages);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#form.encode(this.#messages);
  }

  leave(): void {
    this.#messages.leave();
  }
}

/** The messages of an answer. Unlike those of a generator alone, they can be left before the first was read, and while one is waited for. */
export class Responses implements AsyncIterableIterator<unknown, void> {
  readonly #answer: OpenAnswer;
  readonly #messages: AsyncGenerator<unknown, void>;
  #first: IteratorResult<unknown, void> | undefined;
  #left = false;

  constructor(form: StreamForm, ctx: Context, answer: OpenAnswer) {
    this.#answer = answer;
    this.#messages = form.decode(ctx, answer, () => this.#left);
  }

  /**
   * Itself, once it has its first word. A head comes before any error: only what follows it tells whether the stream has begun or the call
   * failed, which may then be tried again.
   */
  async begun(): Promise<this> {
    this.#first = await this.#messages.next();
    return this;
  }

  next(): Promise<IteratorResult<unknown, void>> {
    const first = this.#first;
    if (first === undefined) return this.#messages.next();
    this.#first = undefined;
    return Promise.resolve(first);
  }

  return(): Promise<IteratorResult<unknown, void>> {
    this.#first = undefined;
    this.#left = true;
    this.#answer.cancel();
    return this.#messages.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Messages to envelopes and back. */
class StreamCodec implements StreamForm {
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

  async *decode(ctx: Context, answer: OpenAnswer, isLeft: () => boolean): AsyncGenerator<unknown, void> {
    const { output, procedure } = this.#method;
    try {
      const encoding = parseEncoding(answer.headers["connect-content-encoding"] as string | undefined, "internal");
      for await (const { flags, data, behind } of decodeEnvelopes(answer.body, this.#maxBytes, "internal")) {
        const plain = flags & COMPRESSED ? await this.#decompress(encoding, data) : data;
        if (flags & END_STREAM) {
          // What has come with it can be told; what is still to come is not waited for: a peer may never end the body.
          if (behind > 0)
            throw new ServiceError("internal", `${procedure}: ${behind} bytes came behind the end of the stream`);
          answer.release();
          return endOfStream(ctx, answer.headers, plain);
        }
        let message: unknown;
        try {
          message = this.#binary ? output.binary!.decode(plain) : output.fromJson(jsonText(plain));
        } catch (error) {
          throw unreadableAnswer(procedure, error);
        }
        yield message;
      }
    } catch (error) {
      // It may not have been read from yet.
      answer.cancel();
      if (isLeft()) return;
      throw error;
    }
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

/** The one message of an answer. @throws ServiceError when there is none, or more. */
export async function onlyOne(responses: AsyncIterableIterator<unknown, void>, procedure: string): Promise<unknown> {
  const first = await responses.next();
  if (first.done)
    throw new ServiceError("unimplemented", `${procedure} must answer with exactly one message, got none`);
  const second = await responses.next();
  if (!second.done) {
    await responses.return?.();
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
