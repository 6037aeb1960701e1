/**
 * Hands chunks from whoever receives them to one reader, who goes at a pace of its own: beyond `highWaterBytes` the source is
 * asked to pause, so that a slow reader never grows memory.
 */
export class ChunkQueue implements AsyncIterable<Uint8Array> {
  readonly #highWaterBytes: number;
  readonly #source: { pause(): void; resume(): void; cancel(): void };
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #paused = false;
  #ended = false;
  #failed = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  constructor(source: { pause(): void; resume(): void; cancel(): void }, highWaterBytes = 64 * 1024) {
    this.#source = source;
    this.#highWaterBytes = highWaterBytes;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.byteLength;
    if (!this.#paused && this.#bytes > this.#highWaterBytes) {
      this.#paused = true;
      this.#source.pause();
    }
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Fails the reader's next read; what waits is thrown away. The first failure counts. */
  fail(error: unknown): void {
    if (this.#failed || this.#ended) return;
    this.#failed = true;
    this.#failure = error;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        if (this.#failed) throw this.#failure;
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          this.#bytes -= chunk.byteLength;
          if (this.#paused && this.#bytes <= this.#highWaterBytes / 2) {
            this.#paused = false;
            this.#source.resume();
          }
          yield chunk;
        } else if (this.#ended) return;
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#wake = undefined;
        }
      }
    } finally {
      // Left before the end: nobody will read the rest.
      if (!this.#ended && !this.#failed) this.#source.cancel();
    }
  }
}
