import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { mapStream, observeStream } from "./stream.ts";

interface Ending {
  readonly error: unknown;
  readonly completed: boolean;
}

/** A stream of numbers that knows whether it was closed. */
class Source implements AsyncIterable<number> {
  closed = 0;
  readonly length: number;
  readonly failAt: number;

  constructor(length: number, failAt = Infinity) {
    this.length = length;
    this.failAt = failAt;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    try {
      for (let i = 0; i < this.length; i++) {
        if (i === this.failAt) throw new Error("from the source");
        yield i;
      }
    } finally {
      this.closed++;
    }
  }
}

function observe(source: AsyncIterable<number>, onItem?: (item: number) => void) {
  const ends: Ending[] = [];
  return { ends, stream: observeStream(source, (error, completed) => ends.push({ error, completed }), onItem) };
}

async function collect(stream: AsyncIterable<number>): Promise<number[]> {
  const items: number[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

describe("observeStream", () => {
  test("passes items through, shows each before the reader sees it, and tells the end once", async () => {
    const log: string[] = [];
    const { ends, stream } = observe(new Source(3), (item) => log.push(`seen ${item}`));
    for await (const item of stream) log.push(`read ${item}`);
    assert.deepEqual(log, ["seen 0", "read 0", "seen 1", "read 1", "seen 2", "read 2"]);
    assert.deepEqual(ends, [{ error: undefined, completed: true }]);
  });

  test("a stream that nobody reads does not end", () => {
    const { ends, stream } = observe(new Source(3));
    stream[Symbol.asyncIterator]();
    assert.deepEqual(ends, []);
  });

  test("a failure ends it with the error, which reaches the reader", async () => {
    const { ends, stream } = observe(new Source(3, 1));
    await assert.rejects(collect(stream), /from the source/);
    assert.equal(ends.length, 1);
    assert.match(String(ends[0]!.error), /from the source/);
    assert.equal(ends[0]!.completed, false);
  });

  test("break ends it, not completed, and closes the source", async () => {
    const source = new Source(3);
    const { ends, stream } = observe(source);
    for await (const item of stream) if (item === 1) break;
    assert.deepEqual(ends, [{ error: undefined, completed: false }]);
    assert.equal(source.closed, 1);
  });

  test("so does an error thrown by the reader", async () => {
    const source = new Source(3);
    const { ends, stream } = observe(source);
    await assert.rejects(async () => {
      for await (const item of stream) throw new Error(`reader at ${item}`);
    }, /reader at 0/);
    assert.deepEqual(ends, [{ error: undefined, completed: false }]);
    assert.equal(source.closed, 1);
  });

  test("return before the first next ends it", async () => {
    const { ends, stream } = observe(new Source(3));
    const iterator = stream[Symbol.asyncIterator]();
    assert.deepEqual(await iterator.return!(7), { done: true, value: 7 });
    assert.deepEqual(ends, [{ error: undefined, completed: false }]);
    assert.equal((await iterator.next()).done, true);
    assert.equal(ends.length, 1);
  });

  test("return on a source without return answers done", async () => {
    const { ends, stream } = observe({
      [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: 1 }) }),
    });
    for await (const item of stream) if (item === 1) break;
    assert.deepEqual(ends, [{ error: undefined, completed: false }]);
  });

  test("a source that fails to close ends it with that error", async () => {
    const { ends, stream } = observe({
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false, value: 1 }),
        return: async () => {
          throw new Error("cannot close");
        },
      }),
    });
    const iterator = stream[Symbol.asyncIterator]();
    await assert.rejects(iterator.return!(), /cannot close/);
    assert.deepEqual(
      ends.map(({ error, completed }) => [String(error), completed]),
      [["Error: cannot close", false]],
    );
  });

  test("a source that cannot be opened ends it too", async () => {
    const { ends, stream } = observe({
      [Symbol.asyncIterator]() {
        throw new Error("cannot open");
      },
    });
    await assert.rejects(collect(stream), /cannot open/);
    assert.equal(ends.length, 1);
  });

  test("an onItem that throws ends it with that error and closes the source", async () => {
    const source = new Source(3);
    const { ends, stream } = observe(source, (item) => {
      if (item === 1) throw new Error("refused");
    });
    await assert.rejects(collect(stream), /refused/);
    assert.deepEqual(
      ends.map(({ error, completed }) => [String(error), completed]),
      [["Error: refused", false]],
    );
    assert.equal(source.closed, 1);
  });

  test("a stream read twice is told of once", async () => {
    const { ends, stream } = observe(new Source(2));
    assert.deepEqual(await collect(stream), [0, 1]);
    assert.deepEqual(await collect(stream), [0, 1]);
    assert.equal(ends.length, 1);
  });

  test("nested observers each are told once", async () => {
    const inner = observe(new Source(2));
    const outer = observe(inner.stream);
    for await (const item of outer.stream) if (item === 0) break;
    assert.deepEqual([inner.ends.length, outer.ends.length], [1, 1]);
  });

  test("exactly once on every way to end: full, failed, left early, closed again and again (property)", async () => {
    const step = fc.constantFrom("next", "next", "next", "return");
    const scenario = fc.record({
      length: fc.nat({ max: 5 }),
      failAt: fc.option(fc.nat({ max: 5 }), { nil: Infinity }),
      refuseAt: fc.option(fc.nat({ max: 5 }), { nil: Infinity }),
      steps: fc.array(step, { maxLength: 10 }),
      together: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ length, failAt, refuseAt, steps, together }) => {
        const { ends, stream } = observe(new Source(length, failAt), (item) => {
          if (item === refuseAt) throw new Error("refused");
        });
        const iterator = stream[Symbol.asyncIterator]();
        let over = false;
        let failed = false;
        const run = async (name: string): Promise<void> => {
          try {
            const result = name === "next" ? await iterator.next() : await iterator.return!();
            over ||= result.done === true;
          } catch {
            over = failed = true;
          }
        };
        if (together) await Promise.all(steps.map(run));
        else for (const name of steps) await run(name);
        assert.equal(ends.length, over ? 1 : 0);
        if (!together && over) assert.equal(ends[0]!.error !== undefined, failed);
        await iterator.return!();
        assert.equal(ends.length, 1);
      }),
      { numRuns: 500 },
    );
  });
});

describe("mapStream", () => {
  /** Counts what it is asked, and waits for ever after `items`. */
  function source(...items: number[]) {
    const told = { returned: 0 };
    const stream: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          items.length > 0 ? Promise.resolve({ done: false, value: items.shift()! }) : new Promise(() => {}),
        async return() {
          told.returned++;
          return { done: true, value: undefined };
        },
      }),
    };
    return { told, stream };
  }

  test("each item is mapped, at once or later, and the end stays the end", async () => {
    const doubled: number[] = [];
    const two = (async function* () {
      yield* [1, 2];
    })();
    for await (const item of mapStream(two, (n) => (n === 1 ? n * 2 : Promise.resolve(n * 2)))) doubled.push(item);
    assert.deepEqual(doubled, [2, 4]);
  });

  test("an item that cannot be mapped closes the stream, and is its end", async () => {
    const { told, stream } = source(1, 2);
    const broken = new Error("no");
    const iterator = mapStream(stream, () => Promise.reject(broken))[Symbol.asyncIterator]();
    await assert.rejects(iterator.next(), (error) => error === broken);
    assert.equal(told.returned, 1);
    assert.equal((await iterator.next()).done, true);
  });

  test("return is handed on at once, while an item is waited for", async () => {
    const { told, stream } = source();
    const iterator = mapStream(stream, (n) => n)[Symbol.asyncIterator]();
    void iterator.next();
    assert.equal((await iterator.return!()).done, true);
    assert.equal(told.returned, 1);
  });
});
