import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ServiceError } from "../errors/service-error.ts";
import { decodeEnvelopes, type Envelope, encodeEnvelope, encodeTextEnvelope } from "./envelope.ts";

/** The bytes in chunks of the sizes given, over and over. */
async function* chunked(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.byteLength; i++) {
    const size = sizes[i % sizes.length]!;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function readAll(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Envelope[]> {
  const envelopes: Envelope[] = [];
  for await (const each of decodeEnvelopes(chunks, maxBytes, "internal")) envelopes.push(each);
  return envelopes;
}

const sizes = fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 5 });

test("envelopes come out as they went in, however they were cut", async () => {
  const envelope = fc.record({ flags: fc.nat({ max: 255 }), data: fc.uint8Array({ maxLength: 64 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(envelope, { maxLength: 8 }), sizes, async (sent, cuts) => {
      const bytes = Buffer.concat(sent.map(({ flags, data }) => encodeEnvelope(flags, data)));
      const read = await readAll(chunked(bytes, cuts), 64);
      assert.deepEqual(
        read.map(({ flags, data }) => [flags, [...data]]),
        sent.map(({ flags, data }) => [flags, [...data]]),
      );
    }),
  );
  fc.assert(
    fc.property(fc.string(), (text) =>
      assert.deepEqual(encodeTextEnvelope(1, text), encodeEnvelope(1, Buffer.from(text))),
    ),
  );
});

test("of any bytes there are envelopes within the limit, then a plain error or none", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), sizes, async (bytes, cuts) => {
      let held = 0;
      try {
        for await (const { data } of decodeEnvelopes(chunked(Buffer.from(bytes), cuts), 16, "internal")) {
          assert.ok(data.byteLength <= 16);
          held += 5 + data.byteLength;
        }
        assert.equal(held, bytes.byteLength);
      } catch (error) {
        assert.ok(error instanceof ServiceError, String(error));
        assert.match(error.message, /over the limit of 16 bytes$|ended inside a message, after \d+ bytes of it$/);
      }
    }),
    { numRuns: 500 },
  );
});

test("a message that is too large is refused before it has come", async () => {
  let asked = 0;
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from([0, 0, 0, 0, 17]);
    asked++;
    yield Buffer.alloc(1);
  };
  await assert.rejects(readAll(endless(), 16), { code: "resource_exhausted" });
  assert.equal(asked, 0);
});
