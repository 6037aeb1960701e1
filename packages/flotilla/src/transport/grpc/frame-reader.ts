import type { Code } from "../../errors/code.ts";
import { ServiceError } from "../../errors/service-error.ts";

/** Bytes in front of each message: one of flags, four of length. */
const PREFIX = 5;

const COMPRESSED = 0b0000_0001;
const nothing = Buffer.alloc(0);

/**
 * Cuts what comes in into length-prefixed messages. Chunks that hold whole messages are not copied; others are, once, into one buffer
 * that grows with what has come, never with what was announced: many small chunks take no more memory than a large one.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message".
 */
export class FrameReader {
  readonly #maxBytes: number;
  readonly malformed: Code;
  #held: Buffer = nothing;
  #start = 0;
  #end = 0;
  /** Whether `held` is of our own making and may be written to. */
  #own = false;
  /** Of the message that `next` gave last: whether it is compressed. */
  compressed = false;

  /**
   * @param maxBytes - of one message.
   * @param malformed - the code of what is no message: whose fault it is depends on the side.
   */
  constructor(maxBytes: number, malformed: Code = "invalid_argument") {
    this.#maxBytes = maxBytes;
    this.malformed = malformed;
  }

  /** Bytes that wait. */
  get size(): number {
    return this.#end - this.#start;
  }

  push(chunk: Uint8Array): void {
    const size = this.#end - this.#start;
    const length = chunk.byteLength;
    if (size === 0) {
      this.#held = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, length);
      this.#start = 0;
      this.#end = length;
      this.#own = false;
      return;
    }
    // Only ever behind what is there: messages that were given out may still be read.
    if (!this.#own || this.#held.byteLength - this.#end < length) {
      const room = Buffer.allocUnsafeSlow(Math.max(1024, 2 * (size + length)));
      this.#held.copy(room, 0, this.#start, this.#end);
      this.#held = room;
      this.#start = 0;
      this.#end = size;
      this.#own = true;
    }
    this.#held.set(chunk, this.#end);
    this.#end += length;
  }

  /**
   * The next message that is whole; undefined when more has to come first. It may stand in memory that other messages share.
   *
   * @throws ServiceError `resource_exhausted` as soon as a message announces itself as too large; `malformed` for flags that do
   *   not exist.
   */
  next(): Buffer | undefined {
    const held = this.#held;
    const start = this.#start;
    const size = this.#end - start;
    if (size < PREFIX) return undefined;
    const flags = held[start]!;
    if (flags > COMPRESSED) {
      throw new ServiceError(
        this.malformed,
        `a message has the flags ${flags}, which mean nothing: is it a message of gRPC?`,
      );
    }
    const length = held.readUInt32BE(start + 1);
    if (length > this.#maxBytes) {
      const message = `a message of ${length} bytes is over the limit of ${this.#maxBytes} bytes`;
      throw new ServiceError("resource_exhausted", message);
    }
    if (size < PREFIX + length) return undefined;
    this.compressed = (flags & COMPRESSED) !== 0;
    const from = start + PREFIX;
    const to = from + length;
    if (to === this.#end) {
      this.#held = nothing;
      this.#start = this.#end = 0;
    } else this.#start = to;
    return held.subarray(from, to);
  }

  /** To be called when no more comes. @throws ServiceError `malformed` when that is inside a message. */
  finish(): void {
    const { size } = this;
    if (size === 0) return;
    throw new ServiceError(this.malformed, `the stream ended inside a message, after ${size} bytes of it`);
  }
}
