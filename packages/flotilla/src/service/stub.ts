import type { CancelContext, Context } from "../context/context.ts";
import { withCancel } from "../context/with.ts";
import type { Client, Contract } from "../contract/contract.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { closeQuietly } from "../endpoint/stream.ts";
import { ServiceError } from "../errors/service-error.ts";

/**
 * A typed client of a contract over any endpoints: one function a method.
 *
 * @param close - what disposing of the client does. Default nothing.
 */
export function stub<C extends Contract>(
  contract: C,
  endpointOf: (method: MethodInfo) => Endpoint,
  close: () => Promise<void> = async () => {},
): Client<C> & AsyncDisposable {
  const client: Record<PropertyKey, unknown> = Object.create(null) as Record<PropertyKey, unknown>;
  for (const method of contract.methods) {
    const endpoint = endpointOf(method);
    const streams = method.kind === "server_stream" || method.kind === "bidi_stream";
    client[method.key] = streams ? streaming(endpoint) : endpoint;
  }
  client[Symbol.asyncDispose] = close;
  return Object.freeze(client) as Client<C> & AsyncDisposable;
}

function streaming(endpoint: Endpoint): (ctx: Context, request: unknown) => AsyncIterable<unknown> {
  return (ctx, request) => new Answers(endpoint, ctx, request);
}

type Result = IteratorResult<unknown, undefined>;

/**
 * The messages of one call. The call is made when they are first read: what nobody reads costs nothing and leaves nothing behind.
 *
 * Unlike a generator's, they can be left (`return`) while one is waited for: that ends the call at once, as cancelling it does, and the wait with it.
 */
class Answers implements AsyncIterableIterator<unknown, undefined> {
  readonly #endpoint: Endpoint;
  readonly #request: unknown;
  readonly #scope: CancelContext;
  #messages: AsyncIterator<unknown> | undefined;
  #over = false;
  /** Ends the wait for a message. */
  #waiting: ((result: Result) => void) | undefined;
  /** The read that is under way: the next one comes after it. */
  #pending: Promise<Result> | undefined;

  constructor(endpoint: Endpoint, ctx: Context, request: unknown) {
    this.#endpoint = endpoint;
    this.#request = request;
    this.#scope = withCancel(ctx);
  }

  next(): Promise<Result> {
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    if (this.#pending !== undefined) {
      const again = (): Promise<Result> => this.next();
      return this.#pending.then(again, again);
    }
    // `for await` takes what is no promise, too.
    const read = Promise.resolve(this.#messages === undefined ? this.#begin() : this.#messages.next());
    this.#pending = new Promise((resolve, reject) => {
      this.#waiting = resolve;
      read.then(
        (result) => {
          this.#pending = undefined;
          if (result.done === true) this.#over = true;
          resolve(result as Result);
        },
        (error: unknown) => {
          this.#pending = undefined;
          this.#over = true;
          reject(error);
        },
      );
    });
    return this.#pending;
  }

  async #begin(): Promise<IteratorResult<unknown>> {
    const stream = (await this.#endpoint(this.#scope, this.#request)) as AsyncIterable<unknown>;
    const messages = (this.#messages = stream[Symbol.asyncIterator]());
    // Left before the call had begun to be answered, and whoever answers has not minded the context.
    if (!this.#over) return messages.next();
    await closeQuietly(messages);
    return { done: true, value: undefined };
  }

  async return(): Promise<Result> {
    if (!this.#over) {
      this.#over = true;
      if (this.#pending === undefined) await this.#messages?.return?.();
      else {
        // Generators on the way to the transport hear of a `return` only when their own wait is over.
        this.#scope.cancel(new ServiceError("canceled", "the response was not read to its end"));
        void closeQuietly(this.#messages);
        this.#waiting!({ done: true, value: undefined });
      }
    }
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
