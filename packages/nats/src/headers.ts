import type { MsgHdrs } from "@nats-io/nats-core";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import { newRecord } from "flotilla/wire";

const VERSION = "NATS/1.0";
/** Said of a request that opens a stream: kind of method, window in bytes, heartbeat in milliseconds. */
export const STREAM_HEADER = "flotilla-stream";
/** Said of a refusal: the request reached no handler. */
export const UNPROCESSED_HEADER = "flotilla-unprocessed";
/** What stands before the names of trailers, as in unary calls of the Connect protocol. */
const TRAILER = "trailer-";
const MAX_HEADERS = 256;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const LINE_BREAK = /[\r\n]/;

/** The broker's own status of an answer: nobody listens to the subject. */
export const NO_RESPONDERS = 503;

/** What stands before a message: the broker's own status, if any, and headers. */
export interface Head {
  /** {@link NO_RESPONDERS} or another; 0 where there is none. */
  readonly status: number;
  /** What the broker says beside it. */
  readonly words: string;
  readonly headers: MetadataRecord;
}

/**
 * Headers as the client library wants them, in their wire form already: its own object checks every character of every name, which a call would
 * pay for each time. Of its methods the library calls `encode` alone when it publishes.
 */
export class EncodedHeaders {
  readonly #bytes: Uint8Array;

  constructor(text: string) {
    this.#bytes = Buffer.from(`${VERSION}\r\n${text}\r\n`);
  }

  get size(): number {
    return this.#bytes.length;
  }

  encode(): Uint8Array {
    return this.#bytes;
  }

  /** What `publish` takes. */
  get forPublish(): MsgHdrs {
    return this as unknown as MsgHdrs;
  }
}

/** One header line. What would end it is left out. */
export function headerLine(name: string, value: string): string {
  return `${name}: ${LINE_BREAK.test(value) ? value.replace(/[\r\n]+/g, " ") : value}\r\n`;
}

/**
 * Metadata as header lines. Names that mean something to NATS or to this transport are not the caller's to set; what is no name is left out, for
 * the metadata of an error may have come from a peer.
 *
 * @param except - a name that is left out.
 */
export function headerLines(record: MetadataRecord, prefix = "", except = ""): string {
  let text = "";
  for (const name in record) {
    const value = record[name];
    if (value === undefined || name === except || isReserved(name) || !NAME.test(name)) continue;
    if (typeof value === "string") text += headerLine(prefix + name, value);
    else for (const one of value) text += headerLine(prefix + name, one);
  }
  return text;
}

export function trailerLines(record: MetadataRecord): string {
  return headerLines(record, TRAILER);
}

function isReserved(name: string): boolean {
  return name.startsWith("nats-") || name === STREAM_HEADER || name === UNPROCESSED_HEADER;
}

/**
 * Reads what stands before a message.
 *
 * @throws ServiceError `invalid_argument` when it is malformed.
 */
export function readHead(bytes: Uint8Array): Head {
  const text = utf8(bytes);
  let end = text.indexOf("\r\n");
  if (end < 0 || !text.startsWith(VERSION)) throw malformed("it does not begin with NATS/1.0");
  const words = text.slice(VERSION.length, end);
  const status = words === "" ? 0 : Number.parseInt(words, 10) || 0;
  const headers = newRecord();
  let count = 0;
  for (let from = end + 2; from < text.length; from = end + 2) {
    end = text.indexOf("\r\n", from);
    if (end < 0) throw malformed("a line has no end");
    if (end === from) break;
    const colon = text.indexOf(":", from);
    if (colon <= from || colon > end) throw malformed("a line has no name");
    const name = text.slice(from, colon);
    if (!NAME.test(name)) throw malformed(`${JSON.stringify(name.slice(0, 64))} is no name`);
    if (++count > MAX_HEADERS) throw malformed(`there are more than ${MAX_HEADERS} headers`);
    add(headers, name.toLowerCase(), text.slice(colon + 1, end).trim());
  }
  return { status, words, headers };
}

function add(headers: MetadataRecord, name: string, value: string): void {
  const present = headers[name];
  if (present === undefined) headers[name] = value;
  else if (typeof present === "string") headers[name] = [present, value];
  else present.push(value);
}

function malformed(why: string): ServiceError {
  return new ServiceError("invalid_argument", `malformed NATS headers: ${why}`);
}

/** Splits what came with an answer: headers, and trailers without their prefix. */
export function splitTrailers(record: MetadataRecord): { headers: MetadataRecord; trailers: MetadataRecord } {
  const headers = newRecord();
  const trailers = newRecord();
  for (const name in record) {
    if (isReserved(name)) continue;
    if (name.startsWith(TRAILER)) trailers[name.slice(TRAILER.length)] = record[name];
    else headers[name] = record[name];
  }
  return { headers, trailers };
}

/** The one value of a header; of several the first. */
export function single(record: MetadataRecord, name: string): string | undefined {
  const value = record[name];
  return Array.isArray(value) ? value[0] : value;
}

export function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}
