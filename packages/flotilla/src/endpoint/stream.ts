/**
 * Wraps a stream so that `onEnd` is called exactly once when it is over: after the last item, after a failure (with the
 * error), or when the reader stops early (`return`). A stream that is never read never ends.
 *
 * Items pass through untouched. Where `onItem` is given it sees each item before the reader does.
 */
export function observeStream<T>(
  stream: AsyncIterable<T>,
  onEnd: (error: unknown, completed: boolean) => void,
  onItem?: (item: T) => void,
): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator](): AsyncIterator<T> {
      const iterator = stream[Symbol.asyncIterator]();
      let ended = false;
      const end = (error: unknown, completed: boolean): void => {
        if (ended) return;
        ended = true;
        onEnd(error, completed);
      };
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
          else onItem?.(result.value);
          return result;
        },
        async return(value?: unknown): Promise<IteratorResult<T>> {
          try {
            return (await iterator.return?.(value)) ?? { done: true, value: value as T };
          } finally {
            end(undefined, false);
          }
        },
      };
    },
  };
}
