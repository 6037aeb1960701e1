import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Clock } from "../../clock/clock.ts";
import type { Random } from "../../clock/random.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { type Answer, isRetryable, printable, readPartialSuccess, retryAfterMs } from "./answer.ts";
import type { Send } from "./http-sender.ts";

/** Waits between tries: at first, the most, and what they are multiplied with. */
const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 5000;
const GROWTH = 1.5;
/** Kinds of failure that are told apart; all further ones are `_OTHER`. */
const MAX_ERROR_TYPES = 32;

const gzipAsync = promisify(gzip);

export type Compression = "gzip" | "none";

/** Counters since the start, and one gauge. For `otel.sdk.exporter.*` of the semantic conventions; items are spans, log records or points. */
export interface DeliveryCounters {
  /** `otel.sdk.exporter.span.inflight` and the like: being sent, or waiting to be sent again. */
  readonly inflight: number;
  /** `otel.sdk.exporter.span.exported` without `error.type`: accepted by the collector. */
  readonly exported: number;
  /** The same with `error.type` `rejected`: in requests that the collector accepted in part. */
  readonly rejected: number;
  /** The same for what was given up, by `error.type`: an HTTP status, `timeout`, `connection`, `canceled`, `too_large`, `encoding`. */
  readonly failed: ReadonlyMap<string, number>;
  /** Requests sent, those sent again included. */
  readonly requests: number;
  /** Of them, those sent again. */
  readonly retries: number;
  /** Bytes of bodies as they were sent. */
  readonly bytes: number;
  /** Milliseconds spent on batches that are done with: `otel.sdk.exporter.operation.duration`. */
  readonly busyMs: number;
}

export interface DeliveryOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly compression: Compression;
  readonly maxRequestBytes: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly onError: (error: ServiceError) => void;
}

/** How one try ended when it did not succeed. */
interface Failure {
  readonly type: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly afterMs: number | undefined;
  readonly cause?: unknown;
}

/** Brings request bodies to the collector, trying again where that is right, and counts what became of them. */
export class Delivery {
  readonly #send: Send;
  readonly #options: DeliveryOptions;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #failed = new Map<string, number>();
  /** On the clock: no request before this, because the collector said so. */
  #notBefore = -Infinity;
  readonly counters = {
    inflight: 0,
    exported: 0,
    rejected: 0,
    failed: this.#failed as ReadonlyMap<string, number>,
    requests: 0,
    retries: 0,
    bytes: 0,
    busyMs: 0,
  };

  constructor(send: Send, options: DeliveryOptions) {
    this.#send = send;
    this.#options = options;
    this.#headers = {
      "user-agent": "flotilla",
      ...Object.fromEntries(Object.entries(options.headers).map(([name, value]) => [name.toLowerCase(), value])),
      "content-type": "application/x-protobuf",
      ...(options.compression === "gzip" && { "content-encoding": "gzip" }),
    };
  }

  /**
   * Sends `items` items as `body`; `unencoded` ones had to be left out of it.
   *
   * @returns why they are lost, if they are. Never rejects.
   */
  async deliver(
    body: Uint8Array,
    items: number,
    unencoded: number,
    signal: AbortSignal,
  ): Promise<ServiceError | undefined> {
    const { clock, timeoutMs, compression, maxRequestBytes } = this.#options;
    const { counters } = this;
    if (unencoded > 0)
      this.#giveUp(unencoded, "encoding", "they could not be encoded; look for values that throw when read");
    if (items === 0) return undefined;
    if (body.length > maxRequestBytes) {
      return this.#giveUp(
        items,
        "too_large",
        `it takes ${body.length} bytes, and maxRequestBytes is ${maxRequestBytes}`,
      );
    }
    const start = clock.now();
    counters.inflight += items;
    // One signal for the caller's abort and for the time limit.
    const abort = new AbortController();
    const onAbort = (): void => abort.abort();
    const timer = clock.schedule(timeoutMs, onAbort);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      const bytes = compression === "gzip" ? await gzipAsync(body, { level: 1 }) : body;
      const failure = await this.#attempts(bytes, items, start + timeoutMs, abort.signal);
      if (failure === undefined) return undefined;
      if (signal.aborted) {
        const why = failure.type === "timeout" ? "" : `; before that: ${failure.message}`;
        return this.#giveUp(items, "canceled", `the export was canceled${why}`, failure);
      }
      return this.#giveUp(items, failure.type, failure.message, failure);
    } finally {
      signal.removeEventListener("abort", onAbort);
      timer.cancel();
      counters.inflight -= items;
      counters.busyMs += clock.now() - start;
    }
  }

  async #attempts(bytes: Uint8Array, items: number, endMs: number, signal: AbortSignal): Promise<Failure | undefined> {
    const { clock, random } = this.#options;
    let failure: Failure = {
      type: "timeout",
      message: "the collector has asked to wait for longer than a request may take",
      retryable: true,
      afterMs: undefined,
    };
    for (let attempt = 0; ; attempt++) {
      // Equal jitter: half of the wait is certain, so that tries do not pile up.
      const backoff = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * GROWTH ** (attempt - 1)) * (0.5 + random.next() / 2);
      const wait = Math.max(attempt === 0 ? 0 : backoff, this.#notBefore - clock.now());
      if (clock.now() + wait >= endMs) return failure;
      if (wait > 0) await this.#pause(wait, signal);
      if (signal.aborted) return failure;
      if (attempt > 0) this.counters.retries++;
      const result = await this.#attempt(bytes, items, signal);
      // Cut off in a further try: what ailed the one before is the reason.
      if (signal.aborted && result?.type === "timeout" && attempt > 0) return failure;
      if (result === undefined || !result.retryable || signal.aborted) return result;
      failure = result;
      if (failure.afterMs !== undefined) this.#notBefore = clock.now() + failure.afterMs;
    }
  }

  /** One try; undefined when the collector has accepted. */
  async #attempt(bytes: Uint8Array, items: number, signal: AbortSignal): Promise<Failure | undefined> {
    this.counters.requests++;
    this.counters.bytes += bytes.length;
    let answer: Answer;
    try {
      answer = await this.#send(bytes, this.#headers, signal);
    } catch (cause) {
      const late = signal.aborted;
      return {
        type: late ? "timeout" : "connection",
        message: late ? `no answer within ${this.#options.timeoutMs} ms` : printable(messageOf(cause)),
        retryable: !late,
        afterMs: undefined,
        cause,
      };
    }
    const { status } = answer;
    if (status >= 200 && status < 300) {
      this.#accepted(answer, items);
      return undefined;
    }
    return {
      type: String(status),
      message: `it answered with status ${status}${hintFor(status)}`,
      retryable: isRetryable(status),
      afterMs: retryAfterMs(answer.retryAfter, this.#options.clock.epoch()),
    };
  }

  #accepted(answer: Answer, items: number): void {
    const partial = readPartialSuccess(answer, items);
    const rejected = partial?.rejected ?? 0;
    this.counters.exported += items - rejected;
    this.counters.rejected += rejected;
    if (partial === undefined) return;
    const what = rejected > 0 ? `rejected ${rejected} of ${items} items` : "accepted all, with a warning";
    this.#tell(
      new ServiceError("invalid_argument", `the collector at ${this.#options.url} ${what}: ${partial.message}`),
    );
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = this.#options.clock.schedule(ms, done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  #giveUp(items: number, type: string, message: string, failure?: Failure): ServiceError {
    this.#count(type, items);
    const text = `${items} items were not exported to ${this.#options.url}: ${message}`;
    const code = failure?.retryable === true ? "unavailable" : "failed_precondition";
    const error = new ServiceError(code, text, { cause: failure?.cause });
    this.#tell(error);
    return error;
  }

  #count(type: string, items: number): void {
    const name = this.#failed.has(type) || this.#failed.size < MAX_ERROR_TYPES ? type : "_OTHER";
    this.#failed.set(name, (this.#failed.get(name) ?? 0) + items);
  }

  #tell(error: ServiceError): void {
    try {
      this.#options.onError(error);
    } catch {
      // Who watches must not stop the export.
    }
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return "the connection failed";
  const { code } = error as NodeJS.ErrnoException;
  return error.message === "" ? (code ?? error.name) : error.message;
}

/** What to do about a status that will come again. */
function hintFor(status: number): string {
  if (status >= 300 && status < 400) return "; redirects are not followed: set the url it redirects to";
  if (status === 401 || status === 403) return "; check the headers that carry the key";
  if (status === 404 || status === 405)
    return "; check the path of the url, usually /v1/traces, /v1/metrics or /v1/logs";
  if (status === 413) return "; lower maxBatch or maxRequestBytes";
  return "";
}
