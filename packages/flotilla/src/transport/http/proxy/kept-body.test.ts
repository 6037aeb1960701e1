import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KeptBody } from "./kept-body.ts";

const KIB = 1024;

/** A body that comes chunk by chunk, when the test says so. */
class Source {
  readonly #given: (Uint8Array | Error | undefined)[] = [];
  #wake: (() => void) | undefined;
  closed = false;

  /** @param next - a chunk, what the body fails with, or undefined for its end. */
  give(...next: (Uint8Array | string | Error | undefined)[]): void {
    this.#given.push(...next.map((one) => (typeof one === "string" ? Buffer.from(one) : one)));
    this.#wake?.();
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        while (this.#given.length === 0) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
        const next = this.#given.shift();
        if (next === undefined) return;
        if (next instanceof Error) throw next;
        yield next;
      }
    } finally {
      this.closed = true;
    }
  }
}

function keep(kept = { bytes: 0 }): { source: Source; body: KeptBody; kept: { bytes: number } } {
  const source = new Source();
  return { source, body: new KeptBody(source.chunks(), kept), kept };
}

async function text(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString();
}

test("an attempt has all of it, and the next one has it again", async () => {
  const { source, body, kept } = keep();
  source.give("one,", "two", undefined);
  assert.equal(await text(body.read()), "one,two");
  assert.equal(await text(body.read()), "one,two");
  assert.equal(body.committed, false);
  assert.ok(kept.bytes > 0);
  body.close();
  assert.equal(kept.bytes, 0);
});

test("an attempt that waits for more fails when another begins, and takes nothing from it", async () => {
  const { source, body } = keep();
  source.give("one,");
  const first = text(body.read());
  await new Promise((resolve) => setImmediate(resolve));
  const second = text(body.read());
  source.give("two,");
  source.give("three", undefined);
  await assert.rejects(first, { code: "canceled" });
  assert.equal(await second, "one,two,three");
});

test("the same when the chunk it waited for is more than can be kept", async () => {
  const { source, body, kept } = keep();
  source.give("one,");
  const first = text(body.read());
  await new Promise((resolve) => setImmediate(resolve));
  const second = text(body.read());
  const large = "x".repeat(65 * KIB);
  source.give(large, "three", undefined);
  await assert.rejects(first, { code: "canceled" });
  assert.equal(await second, `one,${large}three`);
  assert.equal(body.committed, true);
  assert.equal(kept.bytes, 0);
});

test("up to 64 KiB are kept", async () => {
  const { source, body, kept } = keep();
  const reading = body.read();
  source.give(Buffer.alloc(60 * KIB, "a"), Buffer.alloc(4 * KIB, "b"));
  await reading.next();
  await reading.next();
  assert.equal(body.committed, false);
  assert.equal(kept.bytes, 64 * KIB);
  source.give("c", undefined);
  assert.equal((await reading.next()).value?.toString(), "c");
  assert.equal(body.committed, true);
  assert.equal(kept.bytes, 0);
  await assert.rejects(body.read().next(), { code: "internal" });
});

test("and no more than 64 MiB of all together", async () => {
  const { source, body, kept } = keep({ bytes: 64 * KIB * KIB - 3 });
  const reading = body.read();
  source.give("one");
  await reading.next();
  assert.equal(body.committed, false);
  source.give("two", undefined);
  assert.equal((await reading.next()).value?.toString(), "two");
  assert.equal(body.committed, true);
  assert.equal(kept.bytes, 64 * KIB * KIB - 3);
});

test("what is kept goes when no other attempt will be made, but not what the last one has not had", async () => {
  const { source, body, kept } = keep();
  source.give("one,", "two");
  const first = body.read();
  await first.next();
  await first.next();
  const second = body.read();
  body.commit();
  assert.equal(kept.bytes, 0);
  await assert.rejects(second.next(), { code: "internal" });

  const other = keep();
  other.source.give("one,");
  const early = text(other.body.read());
  await new Promise((resolve) => setImmediate(resolve));
  const late = other.body.read();
  // It has begun, and waits for nothing but its reader.
  const begun = late.next();
  other.source.give("two", undefined);
  await assert.rejects(early, { code: "canceled" });
  other.body.commit();
  assert.equal((await begun).value?.toString(), "one,");
  assert.equal(await text(late), "two");
  assert.equal(other.kept.bytes, 0);
});

test("a body that failed is not taken for complete by a later attempt", async () => {
  const { source, body } = keep();
  const broken = new Error("lost");
  source.give("one,", broken);
  await assert.rejects(text(body.read()), broken);
  await assert.rejects(text(body.read()), broken);
});

test("closed, it fails who reads, and ends its source", async () => {
  const { source, body } = keep();
  source.give("one,", "two");
  const reading = body.read();
  await reading.next();
  body.close();
  await assert.rejects(reading.next(), { code: "canceled" });
  assert.equal(source.closed, true);
});

test("whatever comes in whatever pieces, each attempt sends the body from its beginning", async () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(pieces, fc.array(fc.nat({ max: 40 }), { maxLength: 4 }), async (chunks, given) => {
      const { source, body, kept } = keep();
      source.give(...chunks);
      // Attempts that are given up after some chunks.
      for (const count of given) {
        const attempt = body.read();
        for (let i = 0; i < Math.min(count, chunks.length); i++) {
          // One that has caught up would wait for ever.
          const next = await Promise.race([attempt.next(), new Promise((resolve) => setImmediate(resolve))]);
          if (next === undefined) break;
        }
      }
      const last = text(body.read());
      source.give(undefined);
      assert.equal(await last, Buffer.concat(chunks).toString());
      body.close();
      assert.equal(kept.bytes, 0);
    }),
    { numRuns: 50 },
  );
});
