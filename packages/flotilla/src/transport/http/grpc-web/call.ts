import { compress, decompress } from "../../../codec/compression.ts";
import { COMPRESSED, decodeEnvelopes, encodeEnvelope, encodeTextEnvelope } from "../../../codec/envelope.ts";
import { isReserved, readStatus } from "../../../codec/grpc-status.ts";
import { formatTimeout } from "../../../codec/grpc-timeout.ts";
import { jsonText } from "../../../codec/json.ts";
import type { Context } from "../../../context/context.ts";
import type { MethodInfo } from "../../../endpoint/method-info.ts";
import { unreadableAnswer } from "../../../endpoint/unreadable-answer.ts";
import { codeFromHttp } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { responseObserver } from "../../../metadata/call.ts";
import { Metadata, type MetadataRecord, newRecord } from "../../../metadata/metadata.ts";
import type { CallForms } from "../client.ts";
import { callHeaders, type HeaderForm } from "../client-headers.ts";
import type { HttpClientSettings } from "../client-options.ts";
import { type OpenAnswer, once, onlyOne, RequestBody, Responses, type StreamForm } from "../client-stream.ts";
import { parseTrailers, TRAILERS } from "./trailers.ts";

const COMPRESS_MIN_BYTES = 1024;

/** Calls methods by gRPC-Web, in its binary form. */
export const grpcWeb: CallForms = {
  unary(method, settings, roundTrip) {
    const codec = new WebCodec(method, settings);
    return async function grpcWebUnary(ctx, request) {
      const headers = codec.headers(ctx);
      const answer = await roundTrip(ctx, "POST", codec.path, headers, await codec.frame(request));
      const whole = { ...answer, body: once(answer.body), release() {}, cancel() {} };
      return onlyOne(
        codec.decode(ctx, whole, () => false),
        method.procedure,
      );
    };
  },
  stream(method, settings, open) {
    const codec = new WebCodec(method, settings);
    const many = method.kind !== "server_stream";
    return async function grpcWebStream(ctx, request) {
      const messages = many ? (request as AsyncIterable<unknown>) : once(request);
      const answer = await open(ctx, codec.path, codec.headers(ctx), new RequestBody(codec, messages));
      const responses = new Responses(codec, ctx, answer);
      return method.kind === "client_stream" ? onlyOne(responses, method.procedure) : responses.begun();
    };
  },
};

const headerForm: HeaderForm = { timeout: "grpc-timeout", formatTimeout, isReserved };

/** Messages of one method to frames and back. */
class WebCodec implements StreamForm {
  readonly path: string;
  readonly #method: MethodInfo;
  readonly #settings: HttpClientSettings;
  readonly #binary: boolean;
  readonly #fixed: readonly string[];

  constructor(method: MethodInfo, settings: HttpClientSettings) {
    this.path = `/${method.procedure}`;
    this.#method = method;
    this.#settings = settings;
    this.#binary =
      settings.format === "proto" && method.input.binary !== undefined && method.output.binary !== undefined;
    const type = `application/grpc-web+${this.#binary ? "proto" : "json"}`;
    this.#fixed = [
      "content-type",
      type,
      "accept",
      type,
      "x-grpc-web",
      "1",
      ...(settings.compress === undefined
        ? []
        : ["grpc-encoding", settings.compress, "grpc-accept-encoding", "identity,gzip"]),
    ];
  }

  headers(ctx: Context): readonly string[] {
    return callHeaders(ctx, this.#fixed, headerForm);
  }

  async *encode(messages: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
    for await (const message of messages) yield this.frame(message);
  }

  frame(message: unknown): Uint8Array | Promise<Uint8Array> {
    const { input } = this.#method;
    const frame = this.#binary
      ? encodeEnvelope(0, input.binary!.encode(message))
      : encodeTextEnvelope(0, input.toJson(message));
    const encoding = this.#settings.compress;
    if (encoding === undefined || frame.byteLength - 5 < COMPRESS_MIN_BYTES) return frame;
    return compress(encoding, frame.subarray(5)).then((packed) => encodeEnvelope(COMPRESSED, packed));
  }

  async *decode(ctx: Context, answer: OpenAnswer, isLeft: () => boolean): AsyncGenerator<unknown, void> {
    const { status, headers, body } = answer;
    try {
      this.#check(status, headers);
      for await (const { flags, data, behind } of decodeEnvelopes(body, this.#settings.maxMessageBytes, "internal")) {
        const { procedure } = this.#method;
        if ((flags & ~(TRAILERS | COMPRESSED)) !== 0) {
          throw new ServiceError("internal", `${procedure}: a frame has the flags ${flags}, which mean nothing`);
        }
        const plain = flags & COMPRESSED ? await this.#expand(headers["grpc-encoding"], data) : data;
        if (flags & TRAILERS) {
          // What is still to come is not waited for: a peer may never end the body.
          if (behind > 0) throw new ServiceError("internal", `${procedure}: ${behind} bytes came behind the trailers`);
          answer.release();
          return conclude(ctx, headers, parseTrailers(plain), status);
        }
        yield this.#read(plain);
      }
      // An answer without a body has its outcome among the headers.
      conclude(ctx, headers, headers, status);
    } catch (error) {
      answer.cancel();
      if (isLeft()) return;
      throw error;
    }
  }

  /** @throws ServiceError for what is no answer of gRPC-Web: a proxy's, or that of a server which speaks something else. */
  #check(status: number, headers: MetadataRecord): void {
    const type = String(headers["content-type"] ?? "");
    if (headers["grpc-status"] !== undefined || (status === 200 && type.startsWith("application/grpc-web"))) return;
    throw new ServiceError(
      status === 200 ? "unknown" : codeFromHttp(status),
      `${this.#method.procedure} was answered with HTTP ${status} and content-type ${JSON.stringify(type)}`,
    );
  }

  #expand(encoding: MetadataRecord[string], data: Uint8Array): Promise<Uint8Array> {
    if (encoding === "gzip") return decompress("gzip", data, this.#settings.maxMessageBytes, "internal");
    throw new ServiceError(
      "internal",
      `a message is compressed, and grpc-encoding is ${JSON.stringify(encoding ?? "")}`,
    );
  }

  #read(data: Uint8Array): unknown {
    const { output, procedure } = this.#method;
    try {
      return this.#binary ? output.binary!.decode(data) : output.fromJson(jsonText(data));
    } catch (error) {
      throw unreadableAnswer(procedure, error);
    }
  }
}

/** @throws ServiceError the one that the call ended with, if any. */
function conclude(ctx: Context, headers: MetadataRecord, trailers: MetadataRecord, status: number): void {
  responseObserver(ctx)?.(new Metadata(headers), new Metadata(trailers === headers ? newRecord() : trailers));
  const error = readStatus(trailers, status);
  if (error !== undefined) throw error;
}
