import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeEnvelope } from "../../codec/envelope.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { FrameReader } from "./frame-reader.ts";

/** All whole messages that come out of some chunks. */
function read(reader: FrameReader, chunks: Iterable<Uint8Array>): { data: Buffer; compressed: boolean }[] {
  const messages: { data: Buffer; compressed: boolean }[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let data = reader.next(); data !== undefined; data = reader.next()) {
      messages.push({ data, compressed: reader.compressed });
    }
  }
  return messages;
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : sizes[i % sizes.length]!;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 10 });

test("messages come out as they went in, however they were cut", () => {
  const parts = { data: fc.uint8Array({ maxLength: 60 }), compressed: fc.boolean() };
  const message = fc.record(parts, { noNullPrototype: true });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 12 }), sizes, (messages, cuts) => {
      const bytes = Buffer.concat(messages.map(({ data, compressed }) => encodeEnvelope(compressed ? 1 : 0, data)));
      const reader = new FrameReader(60);
      const got = read(reader, cut(bytes, cuts));
      // Compared at the end: no message may have been written over by a later one.
      assert.deepEqual(
        got.map(({ data, compressed }) => ({ data: new Uint8Array(data), compressed })),
        messages,
      );
      reader.finish();
    }),
  );
});

test("any bytes end in messages or in an error of the peer's, and never hold more than has come", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), sizes, (bytes, cuts) => {
      const reader = new FrameReader(50);
      try {
        for (const { data } of read(reader, cut(Buffer.from(bytes), cuts))) assert.ok(data.byteLength <= 50);
        reader.finish();
      } catch (error) {
        assert.ok(error instanceof ServiceError);
        assert.ok(error.code === "resource_exhausted" || error.code === "invalid_argument", error.code);
      }
      assert.ok(reader.size <= bytes.byteLength);
    }),
    { numRuns: 2000 },
  );
});

test("what announces itself as too large is refused at once", () => {
  const reader = new FrameReader(100);
  reader.push(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
  assert.throws(() => reader.next(), { code: "resource_exhausted" });
});

test("flags that mean nothing are refused, with the code of whose fault it is", () => {
  for (const flags of [2, 4, 0x80, 0x81, 0xff]) {
    for (const malformed of ["invalid_argument", "internal"] as const) {
      const reader = new FrameReader(100, malformed);
      reader.push(Buffer.from([flags, 0, 0, 0, 0]));
      assert.throws(() => reader.next(), { code: malformed });
    }
  }
});

test("the end inside a message is an error that says so", () => {
  const reader = new FrameReader(100);
  reader.push(Buffer.from([0, 0, 0, 0, 9, 1, 2]));
  assert.equal(reader.next(), undefined);
  assert.throws(() => reader.finish(), /ended inside a message, after 7 bytes/);
});

test("a message in chunks of one byte takes no more memory than it has bytes, twice over", () => {
  const reader = new FrameReader(1 << 20);
  const message = encodeEnvelope(0, new Uint8Array(200_000));
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < message.length - 1; i++) {
    reader.push(message.subarray(i, i + 1));
    assert.equal(reader.next(), undefined);
  }
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 2_000_000, `${grown} bytes`);
  reader.push(message.subarray(message.length - 1));
  assert.equal(reader.next()?.byteLength, 200_000);
});
