import type { Dispatcher, Pool } from "undici";
import { compress, decompress, parseEncoding } from "../../codec/compression.ts";
import { jsonText } from "../../codec/json.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc } from "../../context/with.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { unreadableAnswer } from "../../endpoint/unreadable-answer.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { responseObserver } from "../../metadata/call.ts";
import { Metadata, type MetadataRecord, newRecord } from "../../metadata/metadata.ts";
import { connectionError, responseError } from "./client-errors.ts";
import { callHeaders } from "./client-headers.ts";
import type { HttpClientSettings } from "./client-options.ts";
import { isGoing } from "./going.ts";

/** Sends one request and gives the whole answer. Either HTTP version has its own. */
export type RoundTrip = (
  ctx: Context,
  verb: "GET" | "POST",
  path: string,
  headers: readonly string[],
  body: string | Uint8Array | undefined,
) => Promise<Answer>;

/** A whole answer. */
export interface Answer {
  readonly status: number;
  readonly headers: MetadataRecord;
  readonly body: Buffer;
}

/** The other side of connections of HTTP/1.1. */
export interface Http1Peer {
  readonly address: string;
  /** Whether its last answer said that others should be called. */
  going: boolean;
}

const COMPRESS_MIN_BYTES = 1024;

/** The endpoint that calls a unary method by the Connect protocol. */
export function unaryEndpoint(method: MethodInfo, settings: HttpClientSettings, roundTrip: RoundTrip): Endpoint {
  const { input, output } = method;
  const binary = settings.format === "proto" ? input.binary : undefined;
  const type = binary === undefined ? "application/json" : "application/proto";
  const path = `/${method.procedure}`;
  const accept = acceptedEncodings(settings);
  const posting = ["content-type", type, "connect-protocol-version", "1", ...accept];

  async function read(ctx: Context, answer: Answer): Promise<unknown> {
    const { status, headers } = answer;
    const plain = await plainBody(answer, settings.maxBodyBytes);
    responseObserver(ctx)?.(...splitTrailers(headers));
    if (status !== 200) throw responseError(status, headers, plain);
    const received = String(headers["content-type"] ?? "");
    if (received !== type && !received.startsWith(`${type};`)) {
      throw new ServiceError(
        "internal",
        `${method.procedure} answered with content-type ${JSON.stringify(received)} instead of ${type}`,
      );
    }
    try {
      return binary === undefined ? output.fromJson(jsonText(plain)) : output.binary!.decode(plain);
    } catch (error) {
      throw unreadableAnswer(method.procedure, error);
    }
  }

  if (settings.get && method.safe) {
    return async function httpGet(ctx, request) {
      const message =
        binary === undefined ? input.toJson(request) : Buffer.from(binary.encode(request)).toString("base64url");
      const query = new URLSearchParams({
        connect: "v1",
        encoding: binary === undefined ? "json" : "proto",
        ...(binary !== undefined && { base64: "1" }),
        message,
      });
      return read(ctx, await roundTrip(ctx, "GET", `${path}?${query.toString()}`, callHeaders(ctx, accept), undefined));
    };
  }
  return async function httpPost(ctx, request) {
    const headers = callHeaders(ctx, posting);
    const body = binary === undefined ? input.toJson(request) : binary.encode(request);
    return read(ctx, await post(ctx, path, headers, body, settings, roundTrip));
  };
}

/** What is said of the compression of answers. */
export function acceptedEncodings({ compress: encoding }: HttpClientSettings): readonly string[] {
  return encoding === undefined ? [] : ["accept-encoding", "br, gzip"];
}

/** Sends a request, compressed where the settings say so and it pays. */
export function post(
  ctx: Context,
  path: string,
  headers: readonly string[],
  body: string | Uint8Array,
  settings: HttpClientSettings,
  roundTrip: RoundTrip,
): Promise<Answer> {
  if (settings.compress === undefined || Buffer.byteLength(body) < COMPRESS_MIN_BYTES) {
    return roundTrip(ctx, "POST", path, headers, body);
  }
  const encoded = [...headers, "content-encoding", settings.compress];
  return compress(settings.compress, body).then((packed) => roundTrip(ctx, "POST", path, encoded, packed));
}

/** The body of an answer, decompressed where it is compressed. */
export function plainBody({ headers, body }: Answer, maxBytes: number): Buffer | Promise<Buffer> {
  const encoding = parseEncoding(headers["content-encoding"] as string | undefined, "internal");
  return encoding === undefined ? body : decompress(encoding, body, maxBytes, "internal");
}

/** Trailers of a unary answer come as headers with a prefix (Connect protocol). */
export function splitTrailers(record: MetadataRecord): [headers: Metadata, trailers: Metadata] {
  const headers = newRecord();
  const trailers = newRecord();
  for (const [name, value] of Object.entries(record)) {
    if (name.startsWith("trailer-")) trailers[name.slice("trailer-".length)] = value;
    else headers[name] = value;
  }
  return [new Metadata(headers), new Metadata(trailers)];
}

/** Unary calls over HTTP/1.1, on undici's lowest level: no stream and no promise but the one that is returned. */
export function undiciRoundTrip(pool: Pool, peer: Http1Peer, maxBodyBytes: number): RoundTrip {
  return (ctx, method, path, headers, body) =>
    new Promise((resolve, reject) => {
      const call = new UndiciCall(ctx, peer, maxBodyBytes, resolve, reject);
      pool.dispatch({ method, path, headers: headers as string[], body: body ?? null }, call);
    });
}

class UndiciCall implements Dispatcher.DispatchHandler {
  readonly #ctx: Context;
  readonly #peer: Http1Peer;
  readonly #maxBytes: number;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: ServiceError) => void;
  readonly #stop: () => boolean;
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #headers: MetadataRecord = {};
  #first: Buffer | undefined;
  #chunks: Buffer[] | undefined;
  #bytes = 0;

  constructor(
    ctx: Context,
    peer: Http1Peer,
    maxBytes: number,
    resolve: (answer: Answer) => void,
    reject: (error: ServiceError) => void,
  ) {
    this.#ctx = ctx;
    this.#peer = peer;
    this.#maxBytes = maxBytes;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#stop = afterFunc(ctx, () => this.#abandon(ctx.err!));
  }

  /** The caller has its error at once; the connection is given up, for HTTP/1.1 cannot cancel otherwise. */
  #abandon(error: ServiceError): void {
    this.#stop();
    this.#reject(error);
    this.#controller?.abort(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Waited for a connection until the context was done.
    if (this.#ctx.err !== undefined) controller.abort(this.#ctx.err);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: MetadataRecord): void {
    this.#status = status;
    this.#headers = headers;
    this.#peer.going = isGoing(headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.byteLength;
    if (this.#bytes > this.#maxBytes) {
      this.#abandon(
        new ServiceError("resource_exhausted", `the response is over the limit of ${this.#maxBytes} bytes`),
      );
    } else if (this.#first === undefined) this.#first = chunk;
    else (this.#chunks ??= [this.#first]).push(chunk);
  }

  onResponseEnd(): void {
    this.#stop();
    const body = this.#chunks !== undefined ? Buffer.concat(this.#chunks) : (this.#first ?? Buffer.alloc(0));
    this.#resolve({ status: this.#status, headers: this.#headers, body });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#stop();
    this.#reject(this.#ctx.err ?? connectionError(this.#peer.address, error, this.#controller === undefined));
  }
}
