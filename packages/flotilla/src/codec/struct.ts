import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** Levels of nesting: each takes up to three messages of the hundred that protobuf libraries commonly allow. */
const MAX_DEPTH = 32;

/**
 * Writes a plain JSON object as a google.protobuf.Struct.
 *
 * @throws Error when it nests over 32 levels deep.
 */
export function encodeStruct(value: object): Uint8Array {
  return writeStruct(new BinaryWriter(), value, 0).finish();
}

/**
 * Reads a google.protobuf.Struct.
 *
 * @throws Error when the bytes are no such message, nest over 32 levels deep, or hold a key `__proto__`.
 */
export function decodeStruct(bytes: Uint8Array): Record<string, unknown> {
  return readStruct(bytes, 0);
}

function writeStruct(writer: BinaryWriter, value: object, depth: number): BinaryWriter {
  if (depth > MAX_DEPTH) throw new Error(`nested over ${MAX_DEPTH} levels deep`);
  for (const [key, part] of Object.entries(value)) {
    writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string(key);
    writeValue(writer.tag(2, WireType.LengthDelimited).fork(), part, depth).join().join();
  }
  return writer;
}

function writeValue(writer: BinaryWriter, value: unknown, depth: number): BinaryWriter {
  switch (typeof value) {
    case "number":
      return writer.tag(2, WireType.Bit64).double(value);
    case "string":
      return writer.tag(3, WireType.LengthDelimited).string(value);
    case "boolean":
      return writer.tag(4, WireType.Varint).bool(value);
    case "object":
      break;
    default:
      return writer.tag(1, WireType.Varint).int32(0);
  }
  if (value === null) return writer.tag(1, WireType.Varint).int32(0);
  if (!Array.isArray(value)) {
    return writeStruct(writer.tag(5, WireType.LengthDelimited).fork(), value, depth + 1).join();
  }
  if (depth >= MAX_DEPTH) throw new Error(`nested over ${MAX_DEPTH} levels deep`);
  writer.tag(6, WireType.LengthDelimited).fork();
  for (const part of value) writeValue(writer.tag(1, WireType.LengthDelimited).fork(), part, depth + 1).join();
  return writer.join();
}

function readStruct(bytes: Uint8Array, depth: number): Record<string, unknown> {
  if (depth > MAX_DEPTH) throw new Error(`nested over ${MAX_DEPTH} levels deep`);
  const struct: Record<string, unknown> = {};
  each(bytes, (number, wireType, reader) => {
    if (number !== 1 || wireType !== WireType.LengthDelimited) return false;
    let key = "";
    let value: unknown = null;
    each(reader.bytes(), (part, partType, entry) => {
      if (partType !== WireType.LengthDelimited) return false;
      if (part === 1) key = entry.string();
      else if (part === 2) value = readValue(entry.bytes(), depth);
      else return false;
      return true;
    });
    if (key === "__proto__") throw new Error('a struct has the key "__proto__"');
    struct[key] = value;
    return true;
  });
  return struct;
}

function readValue(bytes: Uint8Array, depth: number): unknown {
  let value: unknown = null;
  each(bytes, (number, wireType, reader) => {
    if (number === 1 && wireType === WireType.Varint) {
      reader.int32();
      value = null;
    } else if (number === 2 && wireType === WireType.Bit64) value = reader.double();
    else if (number === 3 && wireType === WireType.LengthDelimited) value = reader.string();
    else if (number === 4 && wireType === WireType.Varint) value = reader.bool();
    else if (number === 5 && wireType === WireType.LengthDelimited) value = readStruct(reader.bytes(), depth + 1);
    else if (number === 6 && wireType === WireType.LengthDelimited) value = readList(reader.bytes(), depth + 1);
    else return false;
    return true;
  });
  return value;
}

function readList(bytes: Uint8Array, depth: number): unknown[] {
  if (depth > MAX_DEPTH) throw new Error(`nested over ${MAX_DEPTH} levels deep`);
  const list: unknown[] = [];
  each(bytes, (number, wireType, reader) => {
    if (number !== 1 || wireType !== WireType.LengthDelimited) return false;
    list.push(readValue(reader.bytes(), depth));
    return true;
  });
  return list;
}

/** Calls `take` for each field; one it does not take (false) is skipped. */
function each(bytes: Uint8Array, take: (number: number, wireType: WireType, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (!take(number, wireType, reader)) reader.skip(wireType, number);
  }
}
