import type { AttributeList } from "../model.ts";
import { SHORT_TEXT, varintSize, type Wire } from "./wire.ts";

/** Names whose bytes are kept; when there are more, all are forgotten before the next request. */
const KEEP_NAMES = 2048;
const KEEP_NAME_BYTES = 256 * 1024;
/** Characters of a value whose bytes may be kept. */
const MAX_KEPT_VALUE = 256;
const TWO_63 = 2 ** 63;

// Fields of AnyValue (opentelemetry/proto/common/v1/common.proto) as tags.
const STRING = 0x0a;
const BOOL = 0x10;
const INT = 0x18;
const DOUBLE = 0x21;
const ARRAY = 0x2a;
const MAP = 0x32;
const BYTES = 0x3a;

/** Levels of arrays and maps in one value: more than tracer and logger let through, and an end for cycles. */
const MAX_DEPTH = 8;

/** A name as it stands in a KeyValue: tag, length, UTF-8. */
interface Name {
  readonly bytes: Uint8Array;
  /** The serial number of the last set of attributes it was seen in: finds names that occur twice. */
  seenIn: number;
  /** The value it had last, and its whole KeyValue without the tag once that value has come twice in a row. */
  lastValue: unknown;
  lastPair: Uint8Array | undefined;
}

/** A list of attributes that is the same every time. */
interface Preset {
  readonly bytes: Uint8Array;
  readonly names: readonly Name[];
}

/** Writes attributes as repeated KeyValue fields, each name once. Remembers the bytes of names and of preset lists. */
export class AttributeWriter {
  readonly #wire: Wire;
  readonly #names = new Map<unknown, Name>();
  #nameBytes = 0;
  #presets = new WeakMap<AttributeList, Preset>();
  #lastList: AttributeList | undefined;
  #lastPreset: Preset | undefined;
  #serial = 0;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** To be called between requests: keeps the memory bounded. */
  trim(): void {
    if (this.#names.size <= KEEP_NAMES && this.#nameBytes <= KEEP_NAME_BYTES) return;
    this.#names.clear();
    this.#nameBytes = 0;
    // They hold names that no longer are the ones that will be found.
    this.#presets = new WeakMap();
    this.#lastList = undefined;
  }

  /** Writes `attributes` under `tag`. */
  write(tag: number, attributes: AttributeList): void {
    if (attributes.length === 0) return;
    this.#serial++;
    const start = this.#wire.pos;
    if (this.#list(tag, attributes)) return;
    this.#wire.pos = start;
    this.#distinct(tag, attributes);
  }

  /** Writes `preset` and then `attributes`, which win where both have a name. Presets are always written under the same tag. */
  writeWithPreset(tag: number, preset: AttributeList, attributes: AttributeList): void {
    if (preset.length === 0) {
      this.write(tag, attributes);
      return;
    }
    const start = this.#wire.pos;
    const { bytes, names } = preset === this.#lastList ? this.#lastPreset! : this.#preset(tag, preset);
    this.#wire.raw(bytes);
    if (attributes.length === 0) return;
    const serial = ++this.#serial;
    for (let i = 0; i < names.length; i++) names[i]!.seenIn = serial;
    if (this.#list(tag, attributes)) return;
    this.#wire.pos = start;
    this.#distinct(tag, [...preset, ...attributes]);
  }

  #preset(tag: number, list: AttributeList): Preset {
    let preset = this.#presets.get(list);
    if (preset === undefined) {
      const start = this.#wire.pos;
      this.write(tag, list);
      const names = list.filter((_, i) => i % 2 === 0).map((name) => this.#name(name));
      preset = { bytes: this.#wire.copy(start), names };
      this.#wire.pos = start;
      this.#presets.set(list, preset);
    }
    this.#lastList = list;
    this.#lastPreset = preset;
    return preset;
  }

  /** Writes in one pass; false as soon as a name occurs a second time. */
  #list(tag: number, list: AttributeList): boolean {
    const serial = this.#serial;
    for (let i = 0; i + 1 < list.length; i += 2) {
      const name = this.#name(list[i]);
      if (name.seenIn === serial) return false;
      name.seenIn = serial;
      this.#keyValue(tag, name, list[i + 1]);
    }
    return true;
  }

  /** The rare case: a name occurs twice, and its last value counts. */
  #distinct(tag: number, list: AttributeList): void {
    const last = new Map<unknown, unknown>();
    for (let i = 0; i + 1 < list.length; i += 2) last.set(list[i], list[i + 1]);
    for (const [name, value] of last) this.#keyValue(tag, this.#name(name), value);
  }

  #name(text: unknown): Name {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    const wire = this.#wire;
    const start = wire.pos;
    wire.text(0x0a, String(text));
    const name: Name = { bytes: wire.copy(start), seenIn: 0, lastValue: undefined, lastPair: undefined };
    wire.pos = start;
    this.#names.set(text, name);
    this.#nameBytes += name.bytes.length;
    return name;
  }

  #keyValue(tag: number, name: Name, value: unknown): void {
    if (value !== name.lastValue) {
      // Numbers mostly change, and are quick to write.
      if (typeof value === "string" && value.length <= MAX_KEPT_VALUE) {
        name.lastValue = value;
        name.lastPair = undefined;
      }
      this.#pair(tag, name, value);
      return;
    }
    const wire = this.#wire;
    if (name.lastPair === undefined) {
      const start = wire.pos;
      this.#pair(tag, name, value);
      name.lastPair = wire.copy(start + 1);
      return;
    }
    wire.reserve(1);
    wire.byte(tag);
    wire.raw(name.lastPair);
  }

  #pair(tag: number, name: Name, value: unknown): void {
    switch (typeof value) {
      case "string":
        this.#stringPair(tag, name, value);
        return;
      case "number":
        if (Number.isInteger(value) && value >= -TWO_63 && value < TWO_63) this.#intPair(tag, name, value);
        else {
          this.#head(tag, name, 9, DOUBLE);
          this.#wire.double(value);
        }
        return;
      case "boolean":
        this.#head(tag, name, 2, BOOL);
        this.#wire.byte(value ? 1 : 0);
        return;
      default:
        this.#otherPair(tag, name, value);
    }
  }

  /** Everything of a KeyValue up to the value, whose AnyValue has `size` bytes and begins with `kind`. Leaves room for a number. */
  #head(tag: number, name: Name, size: number, kind: number): void {
    const wire = this.#wire;
    const { bytes } = name;
    wire.reserve(bytes.length + size + 18);
    wire.byte(tag);
    wire.varint(bytes.length + 1 + varintSize(size) + size);
    wire.raw(bytes);
    wire.byte(0x12);
    wire.varint(size);
    wire.byte(kind);
  }

  #intPair(tag: number, name: Name, value: number): void {
    const wire = this.#wire;
    if (value >= 0 && value < 0x1000_0000) {
      this.#head(tag, name, 1 + varintSize(value), INT);
      wire.varint(value);
      return;
    }
    wire.reserve(name.bytes.length + 18);
    const pair = wire.begin(tag, 1);
    wire.raw(name.bytes);
    const any = wire.begin(0x12, 1);
    wire.reserve(11);
    wire.byte(INT);
    wire.int64(value);
    wire.end(any, 1);
    wire.end(pair, 1);
  }

  #stringPair(tag: number, name: Name, value: string): void {
    const wire = this.#wire;
    const start = wire.pos;
    let { length } = value;
    this.#head(tag, name, 1 + varintSize(length) + length, STRING);
    wire.varint(length);
    if (wire.ascii(value) || (length > SHORT_TEXT && wire.utf8(value) === length)) return;
    wire.pos = start;
    length = Buffer.byteLength(value);
    this.#head(tag, name, 1 + varintSize(length) + length, STRING);
    wire.varint(length);
    wire.utf8(value);
  }

  #otherPair(tag: number, name: Name, value: unknown): void {
    // Not a value: as if it had not been set.
    if (value === null || value === undefined) return;
    const wire = this.#wire;
    const pair = wire.begin(tag, 2);
    wire.raw(name.bytes);
    this.anyValue(0x12, value);
    wire.end(pair, 2);
  }

  /** An AnyValue as a field. What is no value of OpenTelemetry's, and what is nested too deep, becomes an empty one. */
  anyValue(tag: number, value: unknown, depth = 0): void {
    const wire = this.#wire;
    const guess = typeof value === "string" || typeof value === "object" ? 2 : 1;
    const start = wire.begin(tag, guess);
    wire.reserve(11);
    if (typeof value === "string") wire.text(STRING, value);
    else if (typeof value === "number") this.#anyNumber(value);
    else if (typeof value === "boolean") {
      wire.byte(BOOL);
      wire.byte(value ? 1 : 0);
    } else if (typeof value === "object" && value !== null && depth < MAX_DEPTH) this.#anyObject(value, depth + 1);
    wire.end(start, guess);
  }

  #anyNumber(value: number): void {
    if (Number.isInteger(value) && value >= -TWO_63 && value < TWO_63) {
      this.#wire.byte(INT);
      this.#wire.int64(value);
    } else {
      this.#wire.byte(DOUBLE);
      this.#wire.double(value);
    }
  }

  #anyObject(value: object, depth: number): void {
    const wire = this.#wire;
    if (value instanceof Uint8Array) {
      wire.byte(BYTES);
      wire.varint(value.length);
      wire.raw(value);
      return;
    }
    const isArray = Array.isArray(value);
    const items = wire.begin(isArray ? ARRAY : MAP, 2);
    if (isArray) {
      for (const item of value as unknown[]) this.anyValue(0x0a, item, depth);
    } else {
      for (const [key, field] of Object.entries(value)) {
        const pair = wire.begin(0x0a, 2);
        wire.text(0x0a, key);
        this.anyValue(0x12, field, depth);
        wire.end(pair, 2);
      }
    }
    wire.end(items, 2);
  }
}
