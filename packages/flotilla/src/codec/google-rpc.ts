import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/**
 * The error detail messages of google.rpc between their canonical JSON and protobuf binary.
 *
 * Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
 */
const violation: Shape = {
  field: [1, "text"],
  description: [2, "text"],
  reason: [3, "text?"],
  localizedMessage: [4, "message", () => shapes["google.rpc.LocalizedMessage"]!],
};
const precondition: Shape = { type: [1, "text"], subject: [2, "text"], description: [3, "text"] };
const quota: Shape = {
  subject: [1, "text"],
  description: [2, "text"],
  apiService: [3, "text?"],
  quotaMetric: [4, "text?"],
  quotaId: [5, "text?"],
  quotaDimensions: [6, "map"],
  quotaValue: [7, "int64"],
  futureQuotaValue: [8, "int64"],
};
const link: Shape = { description: [1, "text"], url: [2, "text"] };

const shapes: Readonly<Record<string, Shape>> = {
  "google.rpc.BadRequest": { fieldViolations: [1, "list", () => violation] },
  "google.rpc.DebugInfo": { stackEntries: [1, "texts"], detail: [2, "text"] },
  "google.rpc.ErrorInfo": { reason: [1, "text"], domain: [2, "text"], metadata: [3, "map"] },
  "google.rpc.Help": { links: [1, "list", () => link] },
  "google.rpc.LocalizedMessage": { locale: [1, "text"], message: [2, "text"] },
  "google.rpc.PreconditionFailure": { violations: [1, "list", () => precondition] },
  "google.rpc.QuotaFailure": { violations: [1, "list", () => quota] },
  "google.rpc.RequestInfo": { requestId: [1, "text"], servingData: [2, "text"] },
  "google.rpc.ResourceInfo": {
    resourceType: [1, "text"],
    resourceName: [2, "text"],
    owner: [3, "text"],
    description: [4, "text"],
  },
  "google.rpc.RetryInfo": { retryDelay: [1, "duration"] },
};

/** JSON name → field number and kind. Texts and lists are always there after decoding; the other kinds when they were sent. */
interface Shape {
  readonly [name: string]:
    | readonly [number, "text" | "text?" | "texts" | "map" | "int64" | "duration"]
    | readonly [number, "list" | "message", () => Shape];
}

/** Whether a type is one of google.rpc's error details. */
export function isGoogleRpc(type: string): boolean {
  return Object.hasOwn(shapes, type);
}

/** Writes one message. What does not fit the type is left out: writing an error never fails. */
export function encodeGoogleRpc(type: string, value: unknown): Uint8Array {
  return write(new BinaryWriter(), shapes[type]!, value).finish();
}

/** Reads one message. Fields that are not known are skipped. @throws Error when the bytes are no such message. */
export function decodeGoogleRpc(type: string, bytes: Uint8Array): Record<string, unknown> {
  return read(shapes[type]!, bytes);
}

function write(writer: BinaryWriter, shape: Shape, value: unknown): BinaryWriter {
  if (typeof value !== "object" || value === null) return writer;
  for (const [name, field] of Object.entries(shape)) {
    const part = (value as Record<string, unknown>)[name];
    const [number, kind] = field;
    const open = () => writer.tag(number, WireType.LengthDelimited);
    if (kind === "text" || kind === "text?") {
      if (typeof part === "string" && part !== "") open().string(part);
    } else if (kind === "texts") {
      for (const text of list(part)) if (typeof text === "string") open().string(text);
    } else if (kind === "map") {
      for (const [key, text] of Object.entries(typeof part === "object" && part !== null ? part : {})) {
        if (typeof text !== "string") continue;
        open().fork().tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited).string(text).join();
      }
    } else if (kind === "int64") {
      const text = typeof part === "string" || typeof part === "number" ? String(part) : "";
      if (/^-?\d{1,18}$/.test(text)) writer.tag(number, WireType.Varint).int64(text);
    } else if (kind === "duration") {
      const duration = typeof part === "string" ? parseDuration(part) : undefined;
      if (duration !== undefined) {
        open()
          .fork()
          .tag(1, WireType.Varint)
          .int64(duration.seconds)
          .tag(2, WireType.Varint)
          .int32(duration.nanos)
          .join();
      }
    } else {
      const parts = kind === "list" ? list(part) : part === undefined ? [] : [part];
      for (const one of parts) write(open().fork(), (field[2] as () => Shape)(), one).join();
    }
  }
  return writer;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function read(shape: Shape, bytes: Uint8Array): Record<string, unknown> {
  const fields = Object.entries(shape);
  const message: Record<string, unknown> = {};
  for (const [name, [, kind]] of fields) {
    if (kind === "text") message[name] = "";
    else if (kind === "texts" || kind === "list") message[name] = [];
  }
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const [name, field] = fields.find(([, known]) => known[0] === number) ?? [];
    if (name === undefined || field === undefined) {
      reader.skip(wireType, number);
      continue;
    }
    if (field[1] === "int64") {
      if (wireType !== WireType.Varint) throw new Error(`field ${name} has wire type ${wireType}`);
      message[name] = String(reader.int64());
      continue;
    }
    if (wireType !== WireType.LengthDelimited) throw new Error(`field ${name} has wire type ${wireType}`);
    if (field[1] === "text" || field[1] === "text?") message[name] = reader.string();
    else if (field[1] === "texts") (message[name] as string[]).push(reader.string());
    else if (field[1] === "map") addEntry(message, name, reader.bytes());
    else if (field[1] === "duration") message[name] = readDuration(reader.bytes());
    else if (field[1] === "list") (message[name] as unknown[]).push(read(field[2](), reader.bytes()));
    else message[name] = read((field[2] as () => Shape)(), reader.bytes());
  }
  return message;
}

const entry: Shape = { key: [1, "text"], value: [2, "text"] };

function addEntry(message: Record<string, unknown>, name: string, bytes: Uint8Array): void {
  const { key, value } = read(entry, bytes) as { key: string; value: string };
  if (key === "__proto__") throw new Error('a map has the key "__proto__"');
  const map = (message[name] ??= {}) as Record<string, string>;
  map[key] = value;
}

/** Seconds a google.protobuf.Duration may hold: about 10,000 years. */
const MAX_SECONDS = 315_576_000_000;

function parseDuration(text: string): { seconds: number; nanos: number } | undefined {
  const match = /^(-?)(\d{1,12})(?:\.(\d+))?s$/.exec(text);
  if (match === null) return undefined;
  const seconds = Number(match[2]);
  if (seconds > MAX_SECONDS) return undefined;
  const nanos = Number((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
  const sign = match[1] === "-" ? -1 : 1;
  // `|| 0`: no negative zero.
  return { seconds: sign * seconds || 0, nanos: sign * nanos || 0 };
}

function readDuration(bytes: Uint8Array): string {
  const reader = new BinaryReader(bytes);
  let seconds = 0;
  let nanos = 0;
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === 1 && wireType === WireType.Varint) seconds = Number(reader.int64());
    else if (number === 2 && wireType === WireType.Varint) nanos = reader.int32();
    else reader.skip(wireType, number);
  }
  if (Math.abs(seconds) > MAX_SECONDS || Math.abs(nanos) > 999_999_999 || seconds * nanos < 0) {
    throw new Error("a duration is out of range");
  }
  const sign = seconds < 0 || nanos < 0 ? "-" : "";
  // Canonical JSON writes 0, 3, 6 or 9 digits.
  const fraction = String(Math.abs(nanos))
    .padStart(9, "0")
    .replace(/(?:000){1,3}$/, "");
  return `${sign}${Math.abs(seconds)}${fraction === "" ? "" : `.${fraction}`}s`;
}
