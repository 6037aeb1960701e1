import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ServiceError } from "../errors/service-error.ts";
import { chooseEncoding, compress, decompress, type Encoding, parseEncoding } from "./compression.ts";

const encoding = fc.constantFrom<Encoding>("gzip", "br");

test("what was compressed is read again", async () => {
  await fc.assert(
    fc.asyncProperty(encoding, fc.uint8Array({ maxLength: 300 }), async (how, data) => {
      assert.deepEqual([...(await decompress(how, await compress(how, data), 300, "internal"))], [...data]);
    }),
  );
});

test("any bytes are data within the limit, or a plain error", async () => {
  const good = { gzip: await compress("gzip", "x".repeat(50)), br: await compress("br", "x".repeat(50)) };
  const spoilt = fc.tuple(fc.nat(), fc.nat({ max: 255 }));
  await fc.assert(
    fc.asyncProperty(encoding, fc.oneof(fc.uint8Array({ maxLength: 40 }), spoilt), async (how, what) => {
      let bytes: Uint8Array = what as Uint8Array;
      if (Array.isArray(what)) {
        bytes = Buffer.from(good[how]);
        bytes[what[0] % bytes.byteLength] = what[1];
      }
      try {
        assert.ok((await decompress(how, bytes, 64, "invalid_argument")).byteLength <= 64);
      } catch (error) {
        assert.ok(error instanceof ServiceError, String(error));
        assert.match(error.code, /^(?:invalid_argument|resource_exhausted)$/);
      }
    }),
    { numRuns: 500 },
  );
});

test("a bomb goes no further than the limit", async () => {
  for (const how of ["gzip", "br"] as const) {
    const bomb = await compress(how, Buffer.alloc(50_000_000));
    await assert.rejects(decompress(how, bomb, 1000, "internal"), {
      code: "resource_exhausted",
      message: "the decompressed message is over the limit of 1000 bytes",
    });
  }
});

test("content-encoding and accept-encoding", () => {
  for (const none of [undefined, "", "identity"]) assert.equal(parseEncoding(none, "internal"), undefined);
  assert.equal(parseEncoding("br", "internal"), "br");
  assert.throws(() => parseEncoding("zstd", "unimplemented"), {
    code: "unimplemented",
    message: /supported encodings are/,
  });
  const chosen = ["gzip, br", "gzip;q=1, br;q=0.5", "*", "br;q=0", "deflate", "GZIP ; q=0.1", "gzip;q=x"].map(
    chooseEncoding,
  );
  assert.deepEqual(chosen, ["br", "gzip", "gzip", undefined, undefined, "gzip", "gzip"]);
  fc.assert(fc.property(fc.string(), (header) => ["br", "gzip", undefined].includes(chooseEncoding(header))));
});
