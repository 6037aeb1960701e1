import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { codeFromGrpc, codeFromHttp, codes } from "../errors/code.ts";
import { type ErrorDetail, type RetryInfo, ServiceError } from "../errors/service-error.ts";
import { isFraming } from "../metadata/framing.ts";
import { type MetadataRecord, newRecord } from "../metadata/metadata.ts";
import { fromBinaryDetail, toBinaryDetail } from "./error-details.ts";
import { decodeMessage, encodeMessage, fittingMessage } from "./grpc-message.ts";
import { ONCE } from "./header-record.ts";
import { splitRetry, withRetryDetails } from "./retry-details.ts";

/** The trailers of a success that says no more. */
export const OK: MetadataRecord = Object.freeze({ "grpc-status": "0" });

/** What other peers put up with in one header: larger details are left out. */
const MAX_DETAILS_BYTES = 4096;
/** Details looked at in an error that came. */
const MAX_DETAILS = 32;

/** Writes the outcome of a failed call into its trailers, all but the error's metadata. */
export function writeStatus(error: ServiceError, into: MetadataRecord): void {
  const { message } = error;
  into["grpc-status"] = String(codes[error.code].grpc);
  // The details must say the same: grpcio refuses those that do not.
  const shown = fittingMessage(message);
  if (shown !== "") into["grpc-message"] = encodeMessage(shown);
  const details = withRetryDetails(error);
  if (details.length > 0) {
    const bytes = encodeStatus(codes[error.code].grpc, shown, details);
    if (bytes.byteLength <= MAX_DETAILS_BYTES) into["grpc-status-details-bin"] = base64(bytes);
  }
  const { retry } = error;
  if (retry?.never) into["grpc-retry-pushback-ms"] = "-1";
  else if (retry?.afterMs !== undefined) into["grpc-retry-pushback-ms"] = String(Math.ceil(retry.afterMs));
}

/** Whether a header or trailer belongs to the protocol: not for services to set, nor to be shown as metadata of an error. */
export function isReserved(name: string): boolean {
  return name.startsWith("grpc-") || name.startsWith(":") || name === "content-type" || isFraming(name);
}

/**
 * Reads the outcome of a call from its trailers. Whatever a peer sends gives an outcome: without a status it is what the HTTP status
 * says.
 *
 * @returns undefined for a success.
 */
export function readStatus(trailers: MetadataRecord, httpStatus: number): ServiceError | undefined {
  const status = trailers["grpc-status"];
  if (status === "0") return undefined;
  if (typeof status !== "string" || !/^\d{1,10}$/.test(status)) {
    if (httpStatus !== 200) return new ServiceError(codeFromHttp(httpStatus), `the peer answered HTTP ${httpStatus}`);
    return new ServiceError("unknown", "the peer ended the call without a grpc-status");
  }
  const code = codeFromGrpc(Number(status));
  if (code === undefined) return undefined;
  const text = trailers["grpc-message"];
  const details = trailers["grpc-status-details-bin"];
  const { kept, retry } = splitRetry(typeof details === "string" ? decodeDetails(details) : []);
  const told = pushback(trailers["grpc-retry-pushback-ms"], retry);
  const metadata: Record<string, string> = {};
  for (const name of Object.keys(trailers)) {
    const value = trailers[name];
    if (value !== undefined && !isReserved(name)) metadata[name] = typeof value === "string" ? value : value.join(", ");
  }
  return new ServiceError(code, typeof text === "string" ? decodeMessage(text) : "", {
    details: kept,
    metadata,
    ...(told !== undefined && { retry: told }),
  });
}

/** gRFC A6: a number of milliseconds; negative, or no number, means never. Details that say it exactly go before. */
function pushback(value: unknown, retry: RetryInfo | undefined): RetryInfo | undefined {
  if (typeof value !== "string" || retry !== undefined) return retry;
  return /^\d{1,10}$/.test(value) ? { afterMs: Number(value) } : { never: true };
}

/** google.rpc.Status: https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto */
function encodeStatus(code: number, message: string, details: readonly ErrorDetail[]): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Varint).int32(code);
  writer.tag(2, WireType.LengthDelimited).string(message);
  for (const detail of details) {
    const { type, bytes } = toBinaryDetail(detail);
    writer.tag(3, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(`type.googleapis.com/${type}`);
    writer.tag(2, WireType.LengthDelimited).bytes(bytes).join();
  }
  return writer.finish();
}

/** The details of a status in base64; what cannot be read is as if it were not there. */
function decodeDetails(value: string): ErrorDetail[] {
  const details: ErrorDetail[] = [];
  try {
    eachField(Buffer.from(value, "base64"), (number, bytes) => {
      if (number !== 3 || details.length === MAX_DETAILS) return;
      let type = "";
      let binary: Uint8Array = new Uint8Array();
      eachField(bytes, (field, content) => {
        if (field === 1) type = Buffer.from(content).toString("utf8");
        else if (field === 2) binary = content;
      });
      details.push(fromBinaryDetail(type, binary));
    });
  } catch {
    // Malformed: the code and the message have to do.
    return details;
  }
  return details;
}

/** Calls `visit` with each length-delimited field. @throws Error when the bytes are no protobuf message. */
function eachField(bytes: Uint8Array, visit: (number: number, content: Uint8Array) => void): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (wireType === WireType.LengthDelimited) visit(number, reader.bytes());
    else reader.skip(wireType, number);
  }
}

/** As binary metadata is sent: without padding. */
function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64").replace(/=+$/, "");
}

/** A copy of what a service set itself, without what belongs to the protocol. */
export function ownMetadata(record: MetadataRecord, into: MetadataRecord = newRecord()): MetadataRecord {
  for (const name of Object.keys(record)) {
    const value = record[name];
    // What may stand only once node:http2 would refuse, and all with it.
    if (!isReserved(name)) into[name] = Array.isArray(value) && ONCE.has(name) ? value.join(", ") : value;
  }
  return into;
}
