import { closeQuietly } from "./stream.ts";

/**
 * The messages that a caller or a handler sends, for the transport: unlike a generator's they can be left while one is waited for.
 *
 * When a call is over before its messages are, their iterator's `return` is called: at once, once, and without waiting for it. What it says, and what becomes of a
 * `next` that was pending, changes nothing any more. (An async generator hears of it where it yields next.) What was never read is left alone.
 */
export class Outgoing<T> implements AsyncIterableIterator<T, undefined> {
  readonly #messages: AsyncIterable<T>;
  #iterator: AsyncIterator<T> | undefined;
  #left = false;
  #ended = false;
  readonly #done: IteratorReturnResult<undefined> = { done: true, value: undefined };
  // Made once: each message goes through one of them.
  readonly #came = (result: IteratorResult<T>): IteratorResult<T, undefined> => {
    // By now nobody may want it.
    if (this.#left) return this.#done;
    if (result.done !== true) return result;
    this.#ended = true;
    return this.#done;
  };
  readonly #failed = (error: unknown): IteratorResult<T, undefined> => {
    if (this.#left) return this.#done;
    this.#ended = true;
    throw error;
  };

  constructor(messages: AsyncIterable<T>) {
    this.#messages = messages;
  }

  /** Whether they were left before their end: then the other side must not be told that they have ended. */
  get left(): boolean {
    return this.#left;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#left || this.#ended) return Promise.resolve(this.#done);
    try {
      this.#iterator ??= this.#messages[Symbol.asyncIterator]();
      // `for await` takes what is no promise, too.
      return Promise.resolve(this.#iterator.next()).then(this.#came, this.#failed);
    } catch (error) {
      this.#ended = true;
      return Promise.reject(error);
    }
  }

  /** The call is over. */
  leave(): void {
    if (this.#left || this.#ended) return;
    this.#left = true;
    void closeQuietly(this.#iterator);
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.leave();
    return this.#done;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
