import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import { newRecord } from "flotilla/wire";

/** What a frame is: its first byte. */
export const FRAME = {
  /** Server: the call was taken in; where to answer is the reply subject. Body: the limit of what may be sent to it. */
  accept: 1,
  /** Server: headers of the response. Body: JSON. */
  head: 2,
  /** Either: a message. */
  data: 3,
  /** Either: no more comes. Body: nothing from a client, JSON from a server. */
  end: 4,
  /** Either: how much may be sent in all. */
  credit: 5,
  /** Client: the call is given up. */
  cancel: 6,
  /** Either: still there. */
  beat: 7,
} as const;

export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

/** Kind, and the number of the frame among those of its direction that are numbered. */
export const FRAME_HEAD_BYTES = 5;
const LIMIT_BYTES = 6;

/** A frame that was read. */
export interface Frame {
  readonly kind: FrameKind;
  /** Which one it is of those with a number (accept, head, data, end); of the others, how many have gone before. Modulo 2^32. */
  readonly seq: number;
  readonly body: Uint8Array;
}

/** How a response ended, as the end frame of a server says. */
export interface Ending {
  /** As the Connect protocol writes it, JSON text; undefined for a success. */
  readonly error: string | undefined;
  readonly trailers: MetadataRecord;
  /** The request reached no handler. */
  readonly unprocessed: boolean;
}

/** Whether frames of this kind are counted, so that a lost one is noticed. */
export function isNumbered(kind: FrameKind): boolean {
  return kind <= FRAME.end;
}

export function writeFrame(kind: FrameKind, seq: number, body: Uint8Array | undefined): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + (body?.length ?? 0));
  frame[0] = kind;
  frame.writeUInt32BE(seq, 1);
  if (body !== undefined) frame.set(body, FRAME_HEAD_BYTES);
  return frame;
}

/** @throws ServiceError `internal` when the bytes are no frame. */
export function readFrame(bytes: Uint8Array): Frame {
  if (bytes.length < FRAME_HEAD_BYTES) throw broken(`it has ${bytes.length} bytes`);
  const kind = bytes[0]!;
  if (kind < FRAME.accept || kind > FRAME.beat) throw broken(`there is no kind ${kind}`);
  const seq = ((bytes[1]! << 24) | (bytes[2]! << 16) | (bytes[3]! << 8) | bytes[4]!) >>> 0;
  return { kind: kind as FrameKind, seq, body: bytes.subarray(FRAME_HEAD_BYTES) };
}

/** The body of accept and credit: bytes in all that may be sent, below 2^48. */
export function writeLimit(limit: number): Uint8Array {
  const body = Buffer.allocUnsafe(LIMIT_BYTES);
  body.writeUIntBE(limit, 0, LIMIT_BYTES);
  return body;
}

/** @throws ServiceError `internal` when the body is none. */
export function readLimit(body: Uint8Array): number {
  if (body.length !== LIMIT_BYTES) throw broken(`a limit has ${LIMIT_BYTES} bytes, not ${body.length}`);
  return Buffer.from(body.buffer, body.byteOffset, LIMIT_BYTES).readUIntBE(0, LIMIT_BYTES);
}

export function writeRecord(record: MetadataRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

/** @throws ServiceError `internal` when the body is no object of strings. */
export function readRecord(body: Uint8Array): MetadataRecord {
  return recordOf(parse(body));
}

export function writeEnding({ error, trailers, unprocessed }: Ending): Uint8Array {
  const rest = `"trailers":${JSON.stringify(trailers)}${unprocessed ? ',"unprocessed":true' : ""}`;
  return Buffer.from(error === undefined ? `{${rest}}` : `{"error":${error},${rest}}`);
}

/** @throws ServiceError `internal` when the body is none. */
export function readEnding(body: Uint8Array): Ending {
  const { error, trailers, unprocessed } = parse(body) as Record<string, unknown>;
  return {
    error: error === undefined ? undefined : JSON.stringify(error),
    trailers: trailers === undefined ? newRecord() : recordOf(trailers),
    unprocessed: unprocessed === true,
  };
}

function parse(body: Uint8Array): object {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
  } catch {
    throw broken("its body is no JSON");
  }
  if (typeof value !== "object" || value === null) throw broken("its body is no object");
  return value;
}

function recordOf(value: unknown): MetadataRecord {
  if (typeof value !== "object" || value === null) throw broken("it has no metadata");
  const record = newRecord();
  for (const [name, one] of Object.entries(value)) {
    if (typeof one === "string") record[name] = one;
    else if (Array.isArray(one) && one.every((each) => typeof each === "string")) record[name] = one;
    else throw broken("metadata is made of strings");
  }
  return record;
}

function broken(why: string): ServiceError {
  return new ServiceError("internal", `a broken frame of a stream: ${why}`);
}
