/** A turn of the event loop is given after so many messages, so that an endless stream cannot starve timers and sockets. */
const MESSAGES_A_TURN = 1024;

interface Reader<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

/**
 * Hands messages from one writer to one reader. At most `capacity` wait: then the writer does, until the reader has caught up.
 *
 * Unlike an async generator its `return` works while a `next` is pending.
 */
export class Pipe<T> implements AsyncIterable<T> {
  readonly #capacity: number;
  readonly #yields: boolean;
  readonly #waiting: T[] = [];
  readonly #readers: Reader<T>[] = [];
  #writer: ((more: boolean) => void) | undefined;
  #written = 0;
  #closed = false;
  #failure: { readonly error: unknown } | undefined;

  /**
   * @param capacity - messages, 1 or more.
   * @param yields - whether the event loop gets a turn now and then.
   */
  constructor(capacity: number, yields = true) {
    this.#capacity = capacity;
    this.#yields = yields;
  }

  /** Whether more may be written: at once while there is room, else when there is. False: nobody reads any more. */
  write(message: T): boolean | Promise<boolean> {
    if (this.#closed) return false;
    const reader = this.#readers.shift();
    if (reader !== undefined) reader.resolve({ done: false, value: message });
    else this.#waiting.push(message);
    if (this.#yields && ++this.#written % MESSAGES_A_TURN === 0) return this.#nextTurn();
    return this.#waiting.length < this.#capacity || this.#room();
  }

  #room(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#writer = resolve;
    });
  }

  async #nextTurn(): Promise<boolean> {
    await new Promise((resolve) => setImmediate(resolve));
    return !this.#closed && (this.#waiting.length < this.#capacity || this.#room());
  }

  /** No more will be written. What waits can still be read. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wakeWriter(false);
    for (const reader of this.#readers.splice(0)) reader.resolve({ done: true, value: undefined });
  }

  /** Fails the next read; what waits is thrown away. Nothing happens after the end. */
  fail(error: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting.length = 0;
    this.#wakeWriter(false);
    const readers = this.#readers.splice(0);
    if (readers.length === 0) this.#failure = { error };
    else {
      readers[0]!.reject(error);
      for (const reader of readers.slice(1)) reader.resolve({ done: true, value: undefined });
    }
  }

  /** Nobody will read any more. */
  leave(): void {
    this.#waiting.length = 0;
    this.#failure = undefined;
    this.end();
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#waiting.length > 0) {
      const value = this.#waiting.shift() as T;
      if (this.#waiting.length < this.#capacity) this.#wakeWriter(true);
      return Promise.resolve({ done: false, value });
    }
    if (this.#failure !== undefined) {
      const { error } = this.#failure;
      this.#failure = undefined;
      return Promise.reject(error);
    }
    if (this.#closed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return {
      next: () => this.next(),
      return: async () => {
        this.leave();
        return { done: true, value: undefined };
      },
    };
  }

  #wakeWriter(more: boolean): void {
    const writer = this.#writer;
    this.#writer = undefined;
    writer?.(more);
  }
}
