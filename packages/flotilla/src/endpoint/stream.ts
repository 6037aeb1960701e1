import type { Context } from "../context/context.ts";
import { afterFunc } from "../context/with.ts";
import { ServiceError } from "../errors/service-error.ts";

/**
 * Wraps a stream so that `onEnd` is called exactly once when it is over: after the last item, after a failure (with the
 * error), or when the reader stops early (`return`). A stream that is never read never ends.
 *
 * Items pass through untouched. Where `onItem` is given it sees each item before the reader does; if it throws, the stream
 * is closed and ends with that error.
 */
export function observeStream<T>(
  stream: AsyncIterable<T>,
  onEnd: (error: unknown, completed: boolean) => void,
  onItem?: (item: T) => void,
): AsyncIterable<T> {
  let ended = false;
  const end = (error: unknown, completed: boolean): void => {
    if (ended) return;
    ended = true;
    onEnd(error, completed);
  };
  return {
    [Symbol.asyncIterator](): AsyncIterator<T> {
      let iterator: AsyncIterator<T>;
      try {
        iterator = stream[Symbol.asyncIterator]();
      } catch (error) {
        end(error, false);
        throw error;
      }
      return {
        async next(): Promise<IteratorResult<T>> {
          let result: IteratorResult<T>;
          try {
            result = await iterator.next();
          } catch (error) {
            end(error, false);
            throw error;
          }
          if (result.done) end(undefined, true);
          else if (onItem !== undefined) {
            try {
              onItem(result.value);
            } catch (error) {
              end(error, false);
              // A reader whose `next` has failed does not call `return`.
              await closeQuietly(iterator);
              throw error;
            }
          }
          return result;
        },
        async return(value?: unknown): Promise<IteratorResult<T>> {
          try {
            const result = (await iterator.return?.(value)) ?? { done: true, value: value as T };
            end(undefined, false);
            return result;
          } catch (error) {
            end(error, false);
            throw error;
          }
        },
      };
    },
  };
}

/**
 * As `observeStream`, for the stream of a call: it is over with the call's context, too, whether it was read or not, so that what
 * is held for a call is given back whatever its caller does.
 *
 * @param onEnd - called once, with what the stream or the context ended with; undefined when it was read as far as wanted.
 */
export function observeCall<T>(
  ctx: Context,
  stream: AsyncIterable<T>,
  onEnd: (error: unknown) => void,
): AsyncIterable<T> {
  let over = false;
  const end = (error: unknown): void => {
    if (over) return;
    over = true;
    stop();
    onEnd(error);
  };
  const stop = afterFunc(ctx, () => end(ctx.err));
  return observeStream(stream, end);
}

/**
 * What `each` makes of every item of a stream. Where that fails the stream is closed, and ends with the failure. Unlike a generator it hands a `return` on at once, also
 * while an item is waited for.
 */
export function mapStream<T, R>(stream: AsyncIterable<T>, each: (item: T) => R | Promise<R>): AsyncIterable<R> {
  return {
    [Symbol.asyncIterator](): AsyncIterator<R, undefined> {
      const iterator = stream[Symbol.asyncIterator]();
      let over = false;
      return {
        async next() {
          if (over) return { done: true, value: undefined };
          const { done, value } = await iterator.next();
          if (done === true) return { done: true, value: undefined };
          try {
            return { done: false, value: await each(value) };
          } catch (error) {
            over = true;
            await closeQuietly(iterator);
            throw error;
          }
        },
        async return() {
          over = true;
          await iterator.return?.();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

/** Whether a stream that had begun has ended because its caller gave it no more time: that is no fault of the one called. */
export function isOverdue(ctx: Context, error: unknown): boolean {
  return error instanceof ServiceError && error.code === "deadline_exceeded" && ctx.deadline !== undefined;
}

/** Whether an answer is a stream. */
export function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

/** Closes an iterator whose outcome is known: what goes wrong in closing changes nothing any more. Never rejects. */
export async function closeQuietly(iterator: AsyncIterator<unknown> | undefined): Promise<void> {
  try {
    await iterator?.return?.();
  } catch {
    return;
  }
}
