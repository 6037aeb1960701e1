import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** What a collector answered, as far as it was read. */
export interface Answer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly retryAfter: string | undefined;
  /** Undefined when it was too long or did not end in time. */
  readonly body: Uint8Array | undefined;
}

/** What a collector accepted only in part. */
export interface PartialSuccess {
  readonly rejected: number;
  /** What it said about it, printable and short. */
  readonly message: string;
}

/** No wait that a collector names is longer for us, milliseconds. */
const MAX_RETRY_AFTER_MS = 60_000;
const MAX_MESSAGE_CHARS = 256;

/** Statuses after which the same request may be sent again (OTLP specification 1.x, "Retryable Response Codes"). */
export function isRetryable(status: number): boolean {
  return status === 429 || status === 502 || status === 503 || status === 504;
}

/**
 * The wait that a `Retry-After` header asks for (RFC 9110, 10.2.3: seconds or a date), in milliseconds from `epochMs`: 0 to 60000. Undefined
 * when there is none, or none that can be read.
 */
export function retryAfterMs(header: string | undefined, epochMs: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const ms = /^\d{1,10}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - epochMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), MAX_RETRY_AFTER_MS);
}

/**
 * Reads an `Export…ServiceResponse`: the three have the same form. What is not one says nothing, and so all was accepted, as the status
 * said. No more than `sent` can have been rejected.
 */
export function readPartialSuccess(answer: Answer, sent: number): PartialSuccess | undefined {
  const { body, contentType } = answer;
  if (body === undefined || body.length === 0 || contentType?.split(";", 1)[0]?.trim() !== "application/x-protobuf") {
    return undefined;
  }
  try {
    const reader = new BinaryReader(body);
    let found: PartialSuccess | undefined;
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === 1 && type === WireType.LengthDelimited) found = readPartial(reader, sent);
      else reader.skip(type, field);
    }
    return found;
  } catch {
    return undefined;
  }
}

function readPartial(reader: BinaryReader, sent: number): PartialSuccess | undefined {
  const end = reader.uint32() + reader.pos;
  let rejected = 0;
  let message = "";
  while (reader.pos < end) {
    const [field, type] = reader.tag();
    if (field === 1 && type === WireType.Varint) rejected = Number(reader.int64());
    else if (field === 2 && type === WireType.LengthDelimited)
      message = printable(Buffer.from(reader.bytes()).toString("utf8"));
    else reader.skip(type, field);
  }
  rejected = Math.min(Math.max(0, rejected), sent);
  return rejected === 0 && message === "" ? undefined : { rejected, message };
}

/** Text of a stranger, fit for a log line. */
export function printable(text: string): string {
  return text.slice(0, MAX_MESSAGE_CHARS).replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ");
}
