import { readFileSync } from "node:fs";
import { type Dispatcher, Pool } from "undici";
import type { Clock } from "../../clock/clock.ts";
import type { Answer } from "./answer.ts";

/** Bytes of an answer that are read; OTLP's are some tens. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** How long the body of an answer may take once its status is known, milliseconds. */
const ANSWER_BODY_MS = 2000;

/** Files in PEM for `https`. */
export interface OtlpTls {
  /** Certificates to trust instead of the system's. */
  readonly caFile?: string;
  /** Client certificate, with `keyFile`. */
  readonly certFile?: string;
  readonly keyFile?: string;
}

/** Sends one request and reads the answer. Rejects when there is none, or when `signal` aborts. */
export type Send = (
  body: Uint8Array,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<Answer>;

export interface Sender {
  readonly send: Send;
  close(): Promise<void>;
}

/**
 * POSTs to one URL over one connection that is kept open. Redirects are not followed.
 *
 * @throws Error when a file of `tls` cannot be read.
 */
export function httpSender(url: URL, tls: OtlpTls | undefined, connectMs: number, clock: Clock): Sender {
  const pool = new Pool(url.origin, {
    connections: 1,
    pipelining: 1,
    // The signal bounds the whole; undici's own clocks would be a second opinion.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { ...readTls(tls), timeout: connectMs },
  });
  const path = `${url.pathname}${url.search}`;
  return {
    send: async (body, headers, signal) =>
      readAnswer(await pool.request({ method: "POST", path, headers, body, signal }), clock),
    close: () => pool.destroy(),
  };
}

function readTls(tls: OtlpTls = {}): Record<string, Buffer> {
  const read: Record<string, Buffer> = {};
  for (const [option, name] of [
    ["caFile", "ca"],
    ["certFile", "cert"],
    ["keyFile", "key"],
  ] as const) {
    const file = tls[option];
    if (file === undefined) continue;
    try {
      read[name] = readFileSync(file);
    } catch (error) {
      throw new Error(`otlpExporter: tls.${option} ${file} cannot be read; check the path and its permissions`, {
        cause: error,
      });
    }
  }
  return read;
}

async function readAnswer(response: Dispatcher.ResponseData, clock: Clock): Promise<Answer> {
  const { statusCode, headers, body } = response;
  const chunks: Buffer[] = [];
  let bytes = 0;
  let whole = true;
  const stop = (): void => {
    whole = false;
    body.destroy();
  };
  const timer = clock.schedule(ANSWER_BODY_MS, stop);
  try {
    for await (const chunk of body) {
      bytes += (chunk as Buffer).length;
      if (bytes > MAX_ANSWER_BYTES) {
        stop();
        break;
      }
      chunks.push(chunk as Buffer);
    }
  } catch {
    // The status stands, whatever became of the body: sending again would deliver twice.
    whole = false;
  } finally {
    timer.cancel();
  }
  return {
    status: statusCode,
    contentType: single(headers["content-type"]),
    retryAfter: single(headers["retry-after"]),
    body: whole ? Buffer.concat(chunks) : undefined,
  };
}

const single = (header: string | string[] | undefined): string | undefined =>
  Array.isArray(header) ? header[0] : header;
