import type { ErrorDetail } from "../errors/service-error.ts";
import { decodeGoogleRpc, encodeGoogleRpc, isGoogleRpc } from "./google-rpc.ts";
import { decodeStruct, encodeStruct } from "./struct.ts";

/** An error detail as the Connect protocol writes it. */
export interface WireDetail {
  /** Full name of the protobuf message. */
  readonly type: string;
  /** The message in binary, as base64 without padding. */
  readonly value: string;
  /** The message in JSON, for people who read the error; never relied upon. */
  readonly debug?: unknown;
}

/** An error detail as a protobuf message: what Connect and gRPC both carry. */
export interface BinaryDetail {
  readonly type: string;
  readonly bytes: Uint8Array;
  readonly debug?: unknown;
}

const STRUCT = "google.protobuf.Struct";
/** Fields of a Struct that stand for a detail that is not a protobuf message: its type, and its value when that is no object. */
const TYPE = "@type";
const VALUE = "@value";

/**
 * Writes a detail for the Connect protocol. Never fails: what has no form on the wire is left out.
 *
 * Types of google.rpc and details that carry their own bytes go as what they are; any other type goes as a
 * google.protobuf.Struct whose field `@type` names it.
 */
export function encodeDetail(detail: ErrorDetail): WireDetail {
  const known = encoded.get(detail);
  if (known !== undefined) return known;
  const wire = encodeNew(detail);
  // What cannot change need not be written again: refusals carry the same details by the million.
  if (Object.isFrozen(detail) && isFlat(detail.value)) encoded.set(detail, wire);
  return wire;
}

const encoded = new WeakMap<ErrorDetail, WireDetail>();

/** Whether it is frozen all through. */
function isFlat(value: unknown): boolean {
  if (!Object.isFrozen(value)) return false;
  return !isRecord(value) || Object.values(value).every((part) => typeof part !== "object");
}

function encodeNew(detail: ErrorDetail): WireDetail {
  const { type, bytes, debug } = toBinaryDetail(detail);
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64").replace(/=+$/, "");
  return debug === undefined ? { type, value } : { type, value, debug };
}

/** Reads a detail of the Connect protocol. Never fails: what cannot be read is kept as it came. */
export function decodeDetail(wire: unknown): ErrorDetail {
  if (typeof wire !== "object" || wire === null) return { type: "", value: wire };
  const { type, value, debug } = wire as Record<string, unknown>;
  const name = typeof type === "string" ? type : "";
  if (typeof value !== "string" || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) return { type: name, value: debug };
  return fromBinaryDetail(name, Buffer.from(value, "base64"), debug);
}

/** Writes a detail as a protobuf message. Never fails. */
export function toBinaryDetail(detail: ErrorDetail): BinaryDetail {
  const { type, binary } = detail;
  if (binary !== undefined) return { type, bytes: binary, debug: plain(detail.value) };
  if (isGoogleRpc(type)) {
    const bytes = encodeGoogleRpc(type, detail.value);
    return { type, bytes, debug: decodeGoogleRpc(type, bytes) };
  }
  const value = plain(detail.value);
  const fields = isRecord(value) ? value : value === undefined ? {} : { [VALUE]: value };
  const struct = type === STRUCT ? fields : { ...fields, [TYPE]: type };
  try {
    return { type: STRUCT, bytes: encodeStruct(struct), debug: struct };
  } catch {
    // Too deep for other peers: they learn its type, and people see it whole.
    return { type: STRUCT, bytes: encodeStruct({ [TYPE]: type }), debug: struct };
  }
}

/**
 * Reads a detail that came as a protobuf message. Never fails: a type that is not known, or bytes that are no such message,
 * are kept in `binary`, with `debug` as the value.
 *
 * @param type - full name, or a type URL that ends in it.
 */
export function fromBinaryDetail(type: string, bytes: Uint8Array, debug?: unknown): ErrorDetail {
  const name = type.slice(type.lastIndexOf("/") + 1);
  try {
    if (isGoogleRpc(name)) return { type: name, value: decodeGoogleRpc(name, bytes) };
    if (name === STRUCT) return fromStruct(decodeStruct(bytes));
  } catch {
    // Malformed: kept as it came, below.
  }
  return { type: name, value: debug, binary: bytes };
}

function fromStruct(struct: Record<string, unknown>): ErrorDetail {
  const { [TYPE]: type, ...fields } = struct;
  if (typeof type !== "string") return { type: STRUCT, value: struct };
  return { type, value: Object.hasOwn(fields, VALUE) && Object.keys(fields).length === 1 ? fields[VALUE] : fields };
}

/** A copy that is JSON and nothing else, without what a receiver would refuse; undefined when there is none. */
function plain(value: unknown): unknown {
  try {
    const text = JSON.stringify(value, (key, part: unknown) => {
      if (key === "__proto__") return undefined;
      return typeof part === "bigint" ? String(part) : part;
    });
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
