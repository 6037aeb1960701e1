import type { ServiceError } from "../../errors/service-error.ts";
import { expand, type MessageCodec } from "./codec.ts";
import type { FrameReader } from "./frame-reader.ts";

/** Bytes that may wait for their reader before the sender is held up. */
const HIGH_WATER_BYTES = 64 * 1024;

/** Where the bytes come from: what of a Readable is used here. */
export interface ByteSource {
  pause(): unknown;
  resume(): unknown;
}

/**
 * The messages of a stream as they come in, for one reader: read from the bytes when they are asked for. Beyond some bytes the source
 * is paused, so that a slow reader never grows memory.
 */
export class Incoming implements AsyncIterableIterator<unknown, undefined> {
  readonly #reader: FrameReader;
  readonly #codec: MessageCodec;
  readonly #encoding: () => unknown;
  readonly #maxBytes: number;
  readonly #source: ByteSource;
  readonly #onLeft: () => void;
  #paused = false;
  #ended = false;
  #outcome: ServiceError | undefined;
  #left = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  /** A read that waits for more bytes, or for a message to be decompressed: the next one comes after it. */
  #pending: Promise<IteratorResult<unknown, undefined>> | undefined;

  /**
   * @param encoding - header `grpc-encoding`, asked for when a message is compressed.
   * @param onLeft - called when the reader wants no more before the end.
   */
  constructor(
    reader: FrameReader,
    codec: MessageCodec,
    encoding: () => unknown,
    maxBytes: number,
    source: ByteSource,
    onLeft: () => void,
  ) {
    this.#reader = reader;
    this.#codec = codec;
    this.#encoding = encoding;
    this.#maxBytes = maxBytes;
    this.#source = source;
    this.#onLeft = onLeft;
  }

  push(chunk: Uint8Array): void {
    if (this.#left || this.#failure !== undefined) return;
    this.#reader.push(chunk);
    if (!this.#paused && this.#reader.size > HIGH_WATER_BYTES && this.#wake === undefined) {
      this.#paused = true;
      this.#source.pause();
    }
    this.#wake?.();
  }

  /** @param outcome - what the reader's last read fails with, behind all messages; undefined for a stream that was complete. */
  end(outcome?: ServiceError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#outcome = outcome;
    this.#wake?.();
  }

  /** Fails the next read; what waits is thrown away. The first failure counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#pending !== undefined) {
      const after = this.#pending.then(
        () => this.next(),
        () => this.next(),
      );
      return after;
    }
    try {
      const result = this.#read();
      if (result !== undefined) return result instanceof Promise ? this.#waiting(result) : Promise.resolve(result);
    } catch (error) {
      this.#stop();
      return Promise.reject(error);
    }
    return this.#waiting(this.#more());
  }

  /** A message, the end, or undefined when more bytes are needed. */
  #read(): IteratorResult<unknown, undefined> | Promise<IteratorResult<unknown, undefined>> | undefined {
    if (this.#left) return { done: true, value: undefined };
    if (this.#failure !== undefined) throw this.#failure.error;
    const data = this.#reader.next();
    if (data === undefined) {
      // A message that is larger than what may wait.
      if (!this.#ended) {
        this.#resume();
        return undefined;
      }
      if (this.#outcome !== undefined) throw this.#outcome;
      this.#reader.finish();
      return { done: true, value: undefined };
    }
    if (this.#reader.size <= HIGH_WATER_BYTES / 2) this.#resume();
    if (!this.#reader.compressed) return { done: false, value: this.#codec.decode(data) };
    return expand(this.#encoding(), data, this.#maxBytes, this.#reader.malformed).then((plain) => {
      return { done: false, value: this.#codec.decode(plain) };
    });
  }

  async #more(): Promise<IteratorResult<unknown, undefined>> {
    for (;;) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
      const result = this.#read();
      if (result !== undefined) return result;
    }
  }

  #waiting(result: Promise<IteratorResult<unknown, undefined>>): Promise<IteratorResult<unknown, undefined>> {
    const pending = result.then(
      (value) => {
        this.#pending = undefined;
        return value;
      },
      (error: unknown) => {
        this.#pending = undefined;
        this.#stop();
        throw error;
      },
    );
    this.#pending = pending;
    return pending;
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#source.resume();
  }

  /** After a failure there is nothing more. */
  #stop(): void {
    if (this.#left) return;
    this.#left = true;
    this.#onLeft();
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    if (!this.#left) {
      this.#left = true;
      if (!this.#ended || this.#reader.size > 0) this.#onLeft();
      this.#wake?.();
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** The one message of a stream that has one. @throws ServiceError `unimplemented` when there are none, or more. */
export async function onlyOne(messages: Incoming, what: (got: "none" | "more") => ServiceError): Promise<unknown> {
  const first = await messages.next();
  if (first.done) throw what("none");
  const second = await messages.next();
  if (second.done) return first.value;
  await messages.return();
  throw what("more");
}
