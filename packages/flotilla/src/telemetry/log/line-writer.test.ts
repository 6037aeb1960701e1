import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Descriptor } from "./descriptor.ts";
import { LineWriter } from "./line-writer.ts";
import type { LineWriterOptions } from "./line-writer-options.ts";

/** A descriptor that takes as much as it is told to. */
class Reader implements Descriptor {
  readonly fd = 3;
  readonly kind: Descriptor["kind"];
  text = "";
  /** Bytes it takes; each write takes from the front. Undefined: all it is offered. */
  takes: number[] | undefined;
  /** What a write fails with. */
  code: string | undefined;
  paused = 0;
  #pending: (() => void) | undefined;

  constructor(kind: Descriptor["kind"] = "prompt") {
    this.kind = kind;
  }

  writeSync(bytes: Uint8Array, offset: number, length: number): number {
    if (this.code !== undefined) throw Object.assign(new Error(this.code), { code: this.code });
    const taken = this.takes === undefined ? length : Math.min(length, this.takes.shift() ?? 0);
    if (taken === 0) throw Object.assign(new Error("EAGAIN"), { code: "EAGAIN" });
    this.text += Buffer.from(bytes.buffer, bytes.byteOffset + offset, taken).toString("latin1");
    return taken;
  }

  write(
    bytes: Uint8Array,
    offset: number,
    length: number,
    done: (error: NodeJS.ErrnoException | null, written: number) => void,
  ): void {
    this.#pending = () => {
      try {
        done(null, this.writeSync(bytes, offset, length));
      } catch (error) {
        done(error as NodeJS.ErrnoException, 0);
      }
    };
  }

  /** Ends the write of the thread pool. @returns whether there was one. */
  finish(): boolean {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.();
    return pending !== undefined;
  }

  pause(ms: number): void {
    this.paused += ms;
  }
}

function bed(kind: Descriptor["kind"] = "prompt", options: LineWriterOptions = {}) {
  const reader = new Reader(kind);
  const clock = new VirtualClock();
  const errors: Error[] = [];
  const writer = new LineWriter({
    fd: reader,
    clock,
    maxBytes: 65_536,
    reportDropped: (lines) => `dropped ${lines}\n`,
    onError: (error) => errors.push(error),
    ...options,
  });
  return { reader, clock, errors, writer };
}

const line = (n: number, length = 0): string => `${n}:${"x".repeat(length)}\n`;

describe("LineWriter", () => {
  test("a line goes out with those of the next five milliseconds", async () => {
    const { reader, clock, writer } = bed();
    writer.write(line(1));
    await clock.advance(4);
    writer.write(line(2));
    assert.equal(reader.text, "");
    await clock.advance(1);
    assert.equal(reader.text, "1:\n2:\n");
    assert.deepEqual(writer.counters, { written: 2, dropped: 0, waitingBytes: 0 });
    await writer.close();
  });

  test("when nobody reads, what is over the limit is dropped, and one line tells how many once there is room", async () => {
    const { reader, clock, writer } = bed();
    reader.takes = [];
    for (let n = 0; n < 100; n++) writer.write(line(n, 1000));
    await clock.advance(1000);
    const { waitingBytes, dropped } = writer.counters;
    assert.ok(waitingBytes <= 65_536 && waitingBytes > 64_000, `${waitingBytes}`);
    assert.ok(dropped > 30);
    reader.takes = undefined;
    await clock.advance(1000);
    const lines = reader.text.split("\n").slice(0, -1);
    assert.equal(lines.at(-1), `dropped ${dropped}`);
    assert.equal(lines.length, 100 - dropped + 1);
    writer.write(line(100));
    await writer.close();
    assert.ok(reader.text.endsWith(`dropped ${dropped}\n100:\n`));
  });

  test("what waits is written when the process exits, by waiting for a slow reader", () => {
    const { reader, writer } = bed();
    for (let n = 0; n < 10; n++) writer.write(line(n, 1000));
    reader.takes = [5000, 0, 0, 3000, 0, 100_000];
    writer.flushSync();
    assert.equal(reader.text, Array.from({ length: 10 }, (_, n) => line(n, 1000)).join(""));
    assert.ok(reader.paused > 0);
    void writer.close();
  });

  test("at the end it does not wait for ever: the rest is given up, counted and told of", () => {
    const { reader, writer, errors } = bed("prompt", { patienceMs: 200 });
    reader.takes = [];
    writer.write(line(1));
    writer.write(line(2));
    writer.flushSync();
    assert.equal(writer.counters.dropped, 2);
    assert.ok(reader.paused >= 200 && reader.paused < 300, `${reader.paused}`);
    assert.match(errors[0]!.message, /2 lines are lost: nobody reads them/);
    void writer.close();
  });

  test("a descriptor that fails for good costs lines, counted, and one error; nothing throws", async () => {
    const { reader, clock, writer, errors } = bed();
    reader.code = "EPIPE";
    writer.write(line(1));
    await clock.advance(10);
    writer.write(line(2));
    writer.write(line(3));
    await writer.close();
    assert.deepEqual(writer.counters, { written: 0, dropped: 3, waitingBytes: 0 });
    assert.equal(errors.length, 1);
  });

  test("a full disk is waited for", async () => {
    const { reader, clock, writer, errors } = bed();
    reader.code = "ENOSPC";
    writer.write(line(1));
    await clock.advance(1000);
    reader.code = undefined;
    await clock.advance(100);
    assert.equal(reader.text, "1:\n");
    assert.deepEqual(errors, []);
    await writer.close();
  });

  test("to a file by the thread pool, one write at a time, in order", async () => {
    const { reader, clock, writer } = bed("file");
    writer.write(line(1));
    await clock.advance(5);
    writer.write(line(2));
    await clock.advance(5);
    assert.ok(reader.finish());
    assert.ok(reader.finish(), "what came meanwhile follows at once");
    assert.equal(reader.text, "1:\n2:\n");
    await writer.close();
  });

  test("flush resolves when what was given before is written", async () => {
    const { reader, clock, writer } = bed();
    reader.takes = [];
    writer.write(line(1));
    let flushed = false;
    const flushing = writer.flush().then(() => (flushed = true));
    await clock.advance(100);
    assert.equal(flushed, false);
    reader.takes = undefined;
    await clock.advance(100);
    await flushing;
    assert.equal(reader.text, "1:\n");
    await writer.close();
  });

  test("after close, lines are written at once", async () => {
    const { reader, writer } = bed();
    await writer.close();
    writer.write(line(1));
    assert.equal(reader.text, "1:\n");
  });

  test("options out of range are refused, by name", () => {
    for (const [options, name] of [
      [{ maxBytes: 1 }, /maxBytes/],
      [{ flushMs: -1 }, /flushMs/],
      [{ patienceMs: Number.NaN }, /patienceMs/],
      [{ fd: 987_654 }, /descriptor 987654/],
    ] as const) {
      assert.throws(() => new LineWriter(options), { name: "RangeError", message: name });
    }
  });

  test("whatever the reader does: whole lines, each written or counted as dropped (property)", async () => {
    const step = fc.oneof(
      fc.record({ write: fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 20 }) }),
      fc.record({ takes: fc.array(fc.integer({ min: 0, max: 50_000 }), { maxLength: 5 }) }),
      fc.record({ wait: fc.integer({ min: 0, max: 60 }) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("prompt" as const, "file" as const),
        fc.array(step, { maxLength: 40 }),
        async (kind, steps) => {
          const { reader, clock, writer } = bed(kind, { reportDropped: () => "" });
          let given = 0;
          for (const now of steps) {
            if ("write" in now) for (const length of now.write) writer.write(line(given++, length));
            // A disk takes all or nothing.
            else if ("takes" in now) reader.takes = kind === "prompt" ? now.takes : [];
            else await clock.advance(now.wait);
            if (reader.takes === undefined) reader.finish();
            assert.ok(writer.counters.waitingBytes <= 65_536);
          }
          reader.takes = undefined;
          for (let i = 0; i < 100; i++) {
            await clock.advance(60);
            reader.finish();
          }
          const { written, dropped, waitingBytes } = writer.counters;
          assert.equal(waitingBytes, 0);
          const numbers = reader.text
            .split("\n")
            .slice(0, -1)
            .map((text) => {
              assert.match(text, /^\d+:x*$/);
              return Number.parseInt(text, 10);
            });
          assert.equal(numbers.length + dropped, given);
          // To a file, what was in nobody's hands yet may overtake a write in progress.
          if (kind === "file") numbers.sort((a, b) => a - b);
          assert.ok(numbers.every((n, i) => i === 0 || n > numbers[i - 1]!));
          assert.ok(written >= numbers.length);
          await writer.close();
        },
      ),
      { numRuns: 100 },
    );
  });
});
