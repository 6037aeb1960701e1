import { isUtf8 } from "node:buffer";
import type { Timer } from "../../../clock/clock.ts";
import { chooseEncoding, compress, decompress, type Encoding, parseEncoding } from "../../../codec/compression.ts";
import { formatConnectTimeout, parseConnectTimeout } from "../../../codec/timeout.ts";
import { UNWATCHED_MS, type Watchable } from "../../../context/watch-list.ts";
import { reportError } from "../../../endpoint/report.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { copyRecord, type MetadataRecord } from "../../../metadata/metadata.ts";
import { ParsedMessage } from "../../../wire/message.ts";
import type { Request, Response } from "../http-message.ts";
import { endsConnection } from "../linger.ts";
import { RequestHead } from "../request-head.ts";
import { cutResponse, flatten, peerOf } from "../server-call.ts";
import { type OnSocket, unwatchClose, watchClose } from "../socket-calls.ts";
import { RpcCall, type RpcCallOwner } from "./call.ts";
import { errorText, failure, protocolErrors, type RpcErrorKind } from "./errors.ts";
import { type Refusal, refusalOf, tooLarge } from "./refusal.ts";
import { type RpcBody, type RpcRequest, readRequests } from "./request.ts";
import { inFlight, type RpcState } from "./state.ts";

/** Statuses of what is no request of JSON-RPC, and will not be when it is tried again. */
const NO_REQUEST: ReadonlySet<number> = new Set([400, 405, 415]);

/** One HTTP request and its answer: the body is read, its calls are served, what they answer is put together. */
export class Exchange implements RpcCallOwner, OnSocket, Watchable {
  newer: Watchable | undefined = undefined;
  older: Watchable | undefined = undefined;
  generation: Watchable["generation"] = undefined;
  readonly #state: RpcState;
  readonly #req: Request;
  readonly #res: Response;
  readonly #head: RequestHead;
  readonly #startedMs: number;
  /** What the caller gives, milliseconds from the start; undefined: all the time in the world. */
  #timeoutMs: number | undefined;
  #timer: Timer | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #received = false;
  #body!: RpcBody;
  /** JSON text of each answer, in the order of the requests; undefined for notifications. */
  #answers: (string | undefined)[] = [];
  #answerBytes = 0;
  readonly #running = new Set<RpcCall>();
  #next = 0;
  /** Of the call, when there is but one. */
  #metadata: string[] = [];
  /** Answered, or nobody is there to be answered. */
  #over = false;

  constructor(state: RpcState, req: Request, res: Response) {
    this.#state = state;
    this.#req = req;
    this.#res = res;
    this.#head = new RequestHead(req.rawHeaders);
    this.#startedMs = state.root.clock.now();
  }

  /** Never throws. */
  start(): void {
    const { settings, young } = this.#state;
    const refused = this.#refusal();
    this.#state.exchanges++;
    watchClose(this.#req, this.#res, this);
    // Told through the close of the response; only HTTP/2's request insists on being heard.
    this.#req.on("error", ignore);
    if (refused !== undefined) return this.#refuse(...refused);
    if (settings.timeoutMs > 2 * UNWATCHED_MS) young.add(this);
    else this.watch();
    this.#req.on("data", (chunk: Buffer) => this.#data(chunk));
    this.#req.on("end", () => this.#end());
  }

  #refusal(): Refusal | undefined {
    const { settings } = this.#state;
    const refused = refusalOf(this.#req, this.#head, settings);
    if (refused !== undefined) return refused;
    if (inFlight(this.#state) >= settings.maxConcurrentRequests) {
      const limit = `the server is at its limit of ${settings.maxConcurrentRequests} concurrent calls`;
      return [503, new ServiceError("unavailable", limit)];
    }
    try {
      if (this.#head.timeout !== undefined) this.#timeoutMs = parseConnectTimeout(this.#head.timeout);
    } catch (error) {
      return [400, ServiceError.from(error)];
    }
    return undefined;
  }

  /** Bounds the time that the body may take. */
  watch(): void {
    const { clock } = this.#state.root;
    const left = this.#state.settings.timeoutMs - (clock.now() - this.#startedMs);
    this.#timer = clock.schedule(left, () => {
      const { timeoutMs } = this.#state.settings;
      this.#refuse(
        408,
        new ServiceError("deadline_exceeded", `the request took longer than ${timeoutMs} ms to arrive`),
      );
    });
  }

  #data(chunk: Buffer): void {
    if (this.#received || this.#over) return;
    const { maxBodyBytes } = this.#state.settings;
    this.#bytes += chunk.byteLength;
    if (this.#bytes > maxBodyBytes) this.#refuse(...tooLarge(maxBodyBytes));
    else this.#chunks.push(chunk);
  }

  #end(): void {
    if (this.#received || this.#over) return;
    this.#stopWaiting();
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    this.#chunks = [];
    const encoding = parseEncoding(this.#head.contentEncoding, "unimplemented");
    if (encoding === undefined) return this.#serve(body);
    decompress(encoding, body, this.#state.settings.maxBodyBytes, "invalid_argument").then(
      (plain) => this.#serve(plain),
      (thrown: unknown) => {
        const error = ServiceError.from(thrown);
        this.#refuse(error.code === "resource_exhausted" ? 413 : 400, error);
      },
    );
  }

  #stopWaiting(): void {
    this.#received = true;
    this.#state.young.remove(this);
    this.#timer?.cancel();
  }

  #serve(body: Buffer): void {
    if (this.#over) return;
    this.#body = readRequests(isUtf8(body) ? body.toString("utf8") : undefined, this.#state.settings.maxBatch);
    this.#go();
  }

  /** Begins as many calls as may run; answers when all are done. */
  #go(): void {
    const { requests } = this.#body;
    while (this.#next < requests.length && this.#running.size < this.#state.settings.batchConcurrency) {
      const index = this.#next++;
      this.#answers[index] = this.#begin(index, requests[index]!);
    }
    if (this.#running.size === 0) this.#answer();
  }

  /** The answer, when it is known at once. */
  #begin(index: number, request: RpcRequest): string | undefined {
    const { id, method, params, refused } = request;
    if (refused !== undefined) return this.#told(id, refused.error, refused.as);
    const { methods, serving, settings } = this.#state;
    if (this.#answerBytes > settings.maxBatchBytes) {
      const limit = `the answers of the batch are over the limit of ${settings.maxBatchBytes} bytes`;
      return this.#told(id, new ServiceError("resource_exhausted", limit));
    }
    const info = methods.get(method);
    if (info?.kind !== "unary") {
      const what = JSON.stringify(method.slice(0, 256));
      const why = info === undefined ? `no method ${what} is served` : `${what} streams, which JSON-RPC cannot carry`;
      return this.#told(id, new ServiceError("unimplemented", why), protocolErrors.method);
    }
    const call = new RpcCall(this, index, id);
    try {
      const message = new ParsedMessage(params, this.#requestBytes());
      call.accepted = serving.accept(info, this.#headers(), message, call, peerOf(this.#req));
    } catch (error) {
      return this.#told(id, ServiceError.from(error));
    }
    this.#running.add(call);
    return undefined;
  }

  /** Those of the request, less the time that has passed. What one call of a batch writes to them the others must not read. */
  #headers(): MetadataRecord {
    const headers = this.#req.headers as MetadataRecord;
    if (this.#timeoutMs === undefined && !this.#body.batch) return headers;
    const own = copyRecord(headers);
    if (this.#timeoutMs !== undefined) {
      const left = this.#timeoutMs - (this.#state.root.clock.now() - this.#startedMs);
      own["connect-timeout-ms"] = formatConnectTimeout(left);
    }
    return own;
  }

  /** One request's share of the body. */
  #requestBytes(): number {
    return Math.ceil(this.#bytes / this.#body.requests.length);
  }

  /** Tells telemetry of a request that no call is made of. @returns its answer. */
  #told(id: string | undefined, error: ServiceError, as?: RpcErrorKind): string | undefined {
    const answer = id === undefined ? undefined : failure(id, errorText(error, as));
    this.#observe(error, this.#requestBytes(), answer === undefined ? 0 : Buffer.byteLength(answer), 200);
    return answer;
  }

  #observe(error: ServiceError, requestBytes: number, responseBytes: number, status: number): void {
    const { observer, root } = this.#state;
    observer?.begin(undefined, root, this.#startedMs).end({
      method: undefined,
      protocol: "jsonrpc",
      code: error.code,
      status,
      requestBytes,
      responseBytes,
      durationMs: root.clock.now() - this.#startedMs,
      error,
    });
  }

  /** A call has ended. @param answer - undefined for a notification. */
  ended(call: RpcCall, answer: string | undefined, headers: MetadataRecord, trailers: MetadataRecord): void {
    if (!this.#running.delete(call) || this.#over) return;
    this.#answers[call.index] = answer;
    // Metadata of several: nobody could say whose it is.
    if (this.#body.batch) this.#answerBytes += Buffer.byteLength(answer ?? "");
    else {
      flatten(headers, "", this.#metadata);
      flatten(trailers, "trailer-", this.#metadata);
    }
    this.#go();
  }

  /** Breaks the connection. */
  cut(call: RpcCall): void {
    this.#running.delete(call);
    if (this.#over) return;
    cutResponse(this.#req, this.#res);
    this.closed();
  }

  closed(): void {
    if (this.#over) return;
    this.#close();
    for (const call of this.#running) call.accepted!.abandoned();
    this.#running.clear();
  }

  #answer(): void {
    const told = this.#answers.filter((answer) => answer !== undefined);
    const head = ["content-type", "application/json"];
    if (told.length === 0) return this.#send(204, this.#metadata, undefined);
    const text = this.#body.batch ? `[${told.join(",")}]` : told[0]!;
    const { compressMinBytes } = this.#state.settings;
    const length = Buffer.byteLength(text);
    let encoding: Encoding | undefined;
    if (compressMinBytes !== false && length >= compressMinBytes) encoding = chooseEncoding(this.#head.acceptEncoding);
    head.push(...this.#metadata);
    if (encoding === undefined) return this.#send(200, head, text);
    head.push("content-encoding", encoding, "vary", "accept-encoding");
    compress(encoding, text).then(
      (packed) => this.#send(200, head, packed),
      (error: unknown) => {
        reportError(this.#state.root, ServiceError.from(error));
        cutResponse(this.#req, this.#res);
      },
    );
  }

  /** Answers what is no request of JSON-RPC yet. */
  #refuse(status: number, error: ServiceError, headers: string[] = []): void {
    if (this.#over) return;
    this.#stopWaiting();
    this.#chunks = [];
    const text = failure("null", errorText(error, NO_REQUEST.has(status) ? protocolErrors.request : undefined));
    this.#observe(error, this.#bytes, Buffer.byteLength(text), status);
    this.#send(status, ["content-type", "application/json", ...headers], text);
  }

  #send(status: number, headers: string[], body: string | Buffer | undefined): void {
    if (this.#over) return;
    const { parts } = this.#state;
    const res = this.#res;
    if (body !== undefined) headers.push("content-length", String(Buffer.byteLength(body)));
    parts.mark(headers, this.#req);
    if (!headers.includes("connection") && endsConnection(this.#req)) headers.push("connection", "close");
    try {
      res.writeHead(status, headers);
    } catch (error) {
      // Node refuses it: nothing is left but to cut the connection.
      reportError(this.#state.root, ServiceError.from(error));
      return cutResponse(this.#req, res);
    }
    if (body === undefined) res.end();
    else res.end(body);
    if (!this.#req.complete) parts.linger(this.#req);
    this.#close();
  }

  #close(): void {
    this.#over = true;
    this.#stopWaiting();
    unwatchClose(this.#req, this);
    if (--this.#state.exchanges === 0) this.#state.onIdle?.();
  }
}

function ignore(): void {}
