/** What the buffer starts with, and is cut back to after an unusually big request. */
const START_BYTES = 64 * 1024;
const KEEP_BYTES = 1024 * 1024;
/** Up to these a loop over the characters or bytes beats a call into the runtime. */
export const SHORT_TEXT = 24;
const SHORT_BYTES = 12;
const TWO_32 = 2 ** 32;
/** 2^64 ns; later than any time that OTLP can say. */
const MAX_EPOCH_MS = 18_446_744_073_709;

const hexDigits = new Uint8Array(128);
for (let i = 0; i < 16; i++) {
  hexDigits[i.toString(16).charCodeAt(0)] = i;
  hexDigits[i.toString(16).toUpperCase().charCodeAt(0)] = i;
}

/** A string that mostly is the same as the time before, and its bytes as a field. */
export interface LastText {
  text: string | undefined;
  bytes: Uint8Array | undefined;
}

/** Bytes of `value` as a varint; `value` is a whole number from 0 to 2^32 - 1. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}

/**
 * Writes the protobuf wire format (protobuf.dev, Encoding) into one buffer that grows and is used again for each request.
 *
 * Methods that write a fixed number of bytes do not look for room: callers `reserve` once for several of them.
 */
export class Wire {
  bytes: Buffer<ArrayBuffer> = Buffer.allocUnsafeSlow(START_BYTES);
  #view = new DataView(this.bytes.buffer);
  pos = 0;

  /** Begins a new request. */
  reset(): void {
    this.pos = 0;
    if (this.bytes.length > KEEP_BYTES) this.#resize(START_BYTES);
  }

  /** The request so far, as bytes of its own. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.copy(0);
  }

  /** A copy of what was written since `start`. */
  copy(start: number): Uint8Array<ArrayBuffer> {
    const bytes = Buffer.allocUnsafeSlow(this.pos - start);
    this.bytes.copy(bytes, 0, start, this.pos);
    return bytes;
  }

  reserve(bytes: number): void {
    if (this.pos + bytes > this.bytes.length) this.#resize(Math.max(2 * this.bytes.length, this.pos + bytes));
  }

  #resize(length: number): void {
    const bytes = Buffer.allocUnsafeSlow(length);
    this.bytes.copy(bytes, 0, 0, this.pos);
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  /** One byte: a tag of a field below 16, or a small number. Needs 1 reserved. */
  byte(value: number): void {
    this.bytes[this.pos++] = value;
  }

  /** A whole number from 0 to 2^32 - 1. Needs 5 reserved. */
  varint(value: number): void {
    const { bytes } = this;
    let rest = value;
    while (rest > 0x7f) {
      bytes[this.pos++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[this.pos++] = rest;
  }

  /** A whole number within int64 (negative ones in two's complement). Needs 10 reserved. */
  int64(value: number): void {
    if (value >= 0 && value < TWO_32) {
      this.varint(value);
      return;
    }
    let low = value % TWO_32;
    if (low < 0) low += TWO_32;
    let high = Math.floor(value / TWO_32) >>> 0;
    while (high > 0 || low > 0x7f) {
      this.bytes[this.pos++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.bytes[this.pos++] = low;
  }

  /** A signed 32-bit number, zigzag. Needs 5 reserved. */
  sint32(value: number): void {
    this.varint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  /** Needs 4 reserved. */
  fixed32(value: number): void {
    this.#view.setUint32(this.pos, value, true);
    this.pos += 4;
  }

  /** A whole number within int64. Needs 8 reserved. */
  fixed64(value: number): void {
    this.#view.setUint32(this.pos, value % TWO_32, true);
    this.#view.setUint32(this.pos + 4, Math.floor(value / TWO_32), true);
    this.pos += 8;
  }

  /** Needs 8 reserved. */
  double(value: number): void {
    this.#view.setFloat64(this.pos, value, true);
    this.pos += 8;
  }

  /**
   * Nanoseconds since the Unix epoch as fixed64: `epochMs` and `plusMs` later. Both are added as whole nanoseconds, since a double holds an
   * epoch to a quarter of a microsecond only. What OTLP cannot say is 0. Needs 8 reserved.
   */
  nanos(epochMs: number, plusMs = 0): void {
    let low = 0;
    let high = 0;
    if (epochMs >= 0 && epochMs + plusMs < MAX_EPOCH_MS) {
      const ms = Math.floor(epochMs);
      const upper = Math.floor(ms / 65_536) * 1e6;
      const upperHigh = Math.floor(upper / 65_536);
      // Every term is below 2^53, so the sum is exact.
      const lower =
        (upper - upperHigh * 65_536) * 65_536 + (ms % 65_536) * 1e6 + Math.round((epochMs - ms + plusMs) * 1e6);
      const carry = Math.floor(lower / TWO_32);
      low = lower - carry * TWO_32;
      high = upperHigh + carry;
    }
    this.#view.setUint32(this.pos, low, true);
    this.#view.setUint32(this.pos + 4, high, true);
    this.pos += 8;
  }

  /** `count` bytes from hexadecimal digits, after their length. Needs `count` + 1 reserved. */
  hex(digits: string, count: number): void {
    const { bytes } = this;
    let at = this.pos;
    bytes[at++] = count;
    for (let i = 0; i < 2 * count; i += 2) {
      bytes[at++] = (hexDigits[digits.charCodeAt(i)]! << 4) | hexDigits[digits.charCodeAt(i + 1)]!;
    }
    this.pos = at;
  }

  /** Bytes as they are, without a length. */
  raw(source: Uint8Array): void {
    const { length } = source;
    this.reserve(length);
    const { bytes, pos } = this;
    if (length > SHORT_BYTES) bytes.set(source, pos);
    else for (let i = 0; i < length; i++) bytes[pos + i] = source[i]!;
    this.pos = pos + length;
  }

  /** Tries to write `text` as ASCII without a length; false, with nothing written, if it is not or is long. Needs its length reserved. */
  ascii(text: string): boolean {
    const { length } = text;
    if (length > SHORT_TEXT) return false;
    const { bytes, pos } = this;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) return false;
      bytes[pos + i] = code;
    }
    this.pos = pos + length;
    return true;
  }

  /** UTF-8 without a length; a lone surrogate becomes U+FFFD. Returns how many bytes it took, 3 a character at most. */
  utf8(text: string): number {
    this.reserve(3 * text.length);
    const length = this.bytes.write(text, this.pos);
    this.pos += length;
    return length;
  }

  /** A string field: tag, length, UTF-8. */
  text(tag: number, text: string): void {
    const { length } = text;
    this.reserve(length + 6);
    const start = this.pos;
    this.byte(tag);
    this.varint(length);
    // Nearly all text is ASCII, whose length in bytes is known; else the length is written anew, and the text with it.
    if (this.ascii(text) || (length > SHORT_TEXT && this.utf8(text) === length)) return;
    this.pos = start + 1;
    this.varint(Buffer.byteLength(text));
    this.utf8(text);
  }

  /** A string field whose bytes are kept in `last` once it has come twice in a row. */
  repeatedText(tag: number, text: string, last: LastText): void {
    if (text !== last.text) {
      last.text = text;
      last.bytes = undefined;
      this.text(tag, text);
    } else if (last.bytes === undefined) {
      const start = this.pos;
      this.text(tag, text);
      last.bytes = this.copy(start);
    } else this.raw(last.bytes);
  }

  /** Leaves room for the length of what follows, `guess` bytes of it, and returns where that begins. */
  begin(tag: number, guess: number): number {
    this.reserve(1 + guess);
    this.bytes[this.pos] = tag;
    this.pos += 1 + guess;
    return this.pos;
  }

  /** Fills in the length left open by `begin`; moves the content where the guess was wrong. */
  end(start: number, guess: number): void {
    const length = this.pos - start;
    const size = varintSize(length);
    if (size !== guess) {
      this.reserve(size);
      this.bytes.copyWithin(start - guess + size, start, this.pos);
    }
    this.pos = start - guess;
    this.varint(length);
    this.pos += length;
  }
}
