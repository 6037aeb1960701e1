import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ServiceError } from "flotilla/errors";
import {
  FRAME,
  type FrameKind,
  readEnding,
  readFrame,
  readLimit,
  readRecord,
  writeEnding,
  writeFrame,
  writeLimit,
  writeRecord,
} from "./frames.ts";

const kinds = fc.constantFrom<FrameKind>(...Object.values(FRAME));
const seqs = fc.nat({ max: 2 ** 32 - 1 });
const name = fc.stringMatching(/^[a-z][a-z-]{0,10}$/);
const record = fc.dictionary(name, fc.oneof(fc.string(), fc.array(fc.string(), { minLength: 1, maxLength: 3 })), {
  noNullPrototype: true,
});

describe("frames", () => {
  test("what is written is read", () => {
    fc.assert(
      fc.property(kinds, seqs, fc.option(fc.uint8Array({ maxLength: 64 }), { nil: undefined }), (kind, seq, body) => {
        const frame = readFrame(writeFrame(kind, seq, body));
        assert.equal(frame.kind, kind);
        assert.equal(frame.seq, seq);
        assert.deepEqual([...frame.body], [...(body ?? [])]);
      }),
    );
    fc.assert(fc.property(fc.nat({ max: 2 ** 48 - 1 }), (limit) => readLimit(writeLimit(limit)) === limit));
    fc.assert(fc.property(record, (headers) => assert.deepEqual({ ...readRecord(writeRecord(headers)) }, headers)));
    fc.assert(
      fc.property(
        fc.option(fc.string(), { nil: undefined }),
        record,
        fc.boolean(),
        (message, trailers, unprocessed) => {
          const error = message === undefined ? undefined : JSON.stringify({ code: "aborted", message });
          const ending = readEnding(writeEnding({ error, trailers, unprocessed }));
          assert.deepEqual({ ...ending, trailers: { ...ending.trailers } }, { error, trailers, unprocessed });
        },
      ),
    );
  });

  test("whatever bytes come: a frame, or an error that says what is wrong", () => {
    const readers = [readFrame, readLimit, readRecord, readEnding];
    const json = fc.json().map((text) => new Uint8Array(Buffer.from(text)));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), json), (bytes) => {
        for (const read of readers) {
          try {
            read(bytes);
          } catch (error) {
            assert.ok(error instanceof ServiceError, String(error));
            assert.equal(error.code, "internal");
            assert.match(error.message, /^a broken frame of a stream: /);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("a frame that was cut is none, or has a shorter body", () => {
    const whole = writeFrame(FRAME.data, 7, Buffer.from("hello"));
    for (let length = 0; length < whole.length; length++) {
      const cut = whole.subarray(0, length);
      if (length < 5) assert.throws(() => readFrame(cut), /it has \d bytes/);
      else assert.equal(readFrame(cut).body.length, length - 5);
    }
    assert.throws(() => readFrame(Buffer.from([0, 0, 0, 0, 0])), /there is no kind 0/);
    assert.throws(() => readFrame(Buffer.from([8, 0, 0, 0, 0])), /there is no kind 8/);
  });
});
