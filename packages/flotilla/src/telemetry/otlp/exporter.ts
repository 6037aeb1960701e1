import type { Clock } from "../../clock/clock.ts";
import { type Random, systemRandom } from "../../clock/random.ts";
import { systemClock } from "../../clock/system-clock.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import type { Exporter, LogData, MetricData, Resource, SpanData } from "../model.ts";
import { type Compression, Delivery, type DeliveryCounters } from "./delivery.ts";
import { headerProblem } from "./headers.ts";
import { httpSender, type OtlpTls } from "./http-sender.ts";
import { logEncoder } from "./logs.ts";
import { metricEncoder } from "./metrics.ts";
import { countOf, portions } from "./portions.ts";
import type { Encode } from "./request.ts";
import { traceEncoder } from "./traces.ts";

/** The three kinds of telemetry, and what a batch of each holds. */
export interface OtlpItems {
  traces: SpanData;
  metrics: MetricData;
  logs: LogData;
}

export type OtlpSignal = keyof OtlpItems;

/** Options of {@link otlpExporter}. */
export interface OtlpExporterOptions<S extends OtlpSignal = OtlpSignal> {
  readonly signal: S;
  /** Who emits it. */
  readonly resource: Resource;
  /** Where to send it, path included. `http:` or `https:`. Default `http://localhost:4318/v1/<signal>`. */
  readonly url?: string;
  /** Sent with each request, for keys and tenants. Default none. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For sending one request, all tries and waits included, milliseconds. More than 0. Default 10000. */
  readonly timeoutMs?: number;
  /** Default `none`, as the specification has it. */
  readonly compression?: Compression;
  readonly tls?: OtlpTls;
  /** Bytes of a request before compression. A batch that needs more is sent in parts; one item that does is dropped. Default 4 MiB. */
  readonly maxRequestBytes?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
  readonly random?: Random;
  /** Told of each request that was given up or accepted in part only. */
  onError?(error: ServiceError): void;
}

/** An {@link Exporter} that counts. */
export interface OtlpExporter<T> extends Exporter<T> {
  /** A live view. */
  readonly counters: DeliveryCounters;
}

/**
 * Sends telemetry to a collector by OTLP/HTTP with protobuf (OpenTelemetry Protocol Specification 1.x). Refused and failed requests are sent
 * again as the specification has it: on 429, 502, 503, 504 and broken connections, with exponential backoff and
 * jitter, after the time that `Retry-After` names, until `timeoutMs` are over. Redirects are not followed, answers are read up
 * to 64 KiB and 2 s.
 *
 * @throws RangeError when an option is not legal, naming it; Error when a file of `tls` cannot be read.
 */
export function otlpExporter<S extends OtlpSignal>(options: OtlpExporterOptions<S>): OtlpExporter<OtlpItems[S]> {
  const { signal, url = `http://localhost:4318/v1/${signal}`, timeoutMs = 10_000, clock = systemClock } = options;
  const { compression = "none", maxRequestBytes = 4 * 1024 * 1024, headers = {}, random = systemRandom } = options;
  if (!(timeoutMs > 0)) throw new RangeError(`otlpExporter: timeoutMs must be more than 0, got ${timeoutMs}`);
  if (!(maxRequestBytes >= 1024))
    throw new RangeError(`otlpExporter: maxRequestBytes must be 1024 or more, got ${maxRequestBytes}`);
  if (compression !== "none" && compression !== "gzip")
    throw new RangeError(`otlpExporter: compression must be "gzip" or "none", got ${JSON.stringify(compression)}`);
  for (const [name, value] of Object.entries(headers)) {
    const problem = headerProblem(name, value);
    if (problem !== undefined) throw new RangeError(`otlpExporter: headers ${problem}`);
  }
  const sender = httpSender(parseUrl(url), options.tls, timeoutMs, clock);
  const onError = (error: ServiceError): void => options.onError?.(error);
  const delivery = new Delivery(sender.send, {
    url,
    headers,
    timeoutMs,
    compression,
    maxRequestBytes,
    clock,
    random,
    onError,
  });
  const encode: Encode<OtlpItems[S]> = encoders[signal](options.resource);
  return new OtlpHttpExporter(encode, delivery, maxRequestBytes, () => sender.close());
}

const encoders: { readonly [S in OtlpSignal]: (resource: Resource) => Encode<OtlpItems[S]> } = {
  traces: traceEncoder,
  metrics: metricEncoder,
  logs: logEncoder,
};

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "")
    throw new RangeError(
      `otlpExporter: url must be an absolute http or https URL without credentials, got ${JSON.stringify(text)}`,
    );
  return url;
}

class OtlpHttpExporter<T extends SpanData | MetricData | LogData> implements OtlpExporter<T> {
  readonly #encode: Encode<T>;
  readonly #delivery: Delivery;
  readonly #maxBytes: number;
  readonly #release: () => Promise<void>;

  constructor(encode: Encode<T>, delivery: Delivery, maxBytes: number, release: () => Promise<void>) {
    this.#encode = encode;
    this.#delivery = delivery;
    this.#maxBytes = maxBytes;
    this.#release = release;
  }

  get counters(): DeliveryCounters {
    return this.#delivery.counters;
  }

  async export(batch: readonly T[], signal: AbortSignal): Promise<void> {
    let failure: ServiceError | undefined;
    let delivered = false;
    // Encoded one after the other, so that no more than one request is held as bytes.
    const pending: (readonly T[])[] = [];
    for (const portion of portions(batch)) {
      pending.push(portion);
      for (let items = pending.pop(); items !== undefined; items = pending.pop()) {
        const { bytes, failed } = this.#encode(items);
        if (bytes.length > this.#maxBytes && items.length > 1) {
          const half = items.length >> 1;
          pending.push(items.slice(half), items.slice(0, half));
          continue;
        }
        const lost = await this.#delivery.deliver(bytes, countOf(items) - failed, failed, signal);
        if (lost === undefined) delivered = true;
        else failure = lost;
      }
    }
    // A batch that got through in part is not lost; the counters say what of it is.
    if (failure !== undefined && !delivered) throw failure;
  }

  close(): Promise<void> {
    return this.#release();
  }
}
