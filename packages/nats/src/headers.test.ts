import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MsgHdrsImpl } from "@nats-io/nats-core/internal";
import fc from "fast-check";
import { ServiceError } from "flotilla/errors";
import { EncodedHeaders, headerLine, headerLines, readHead, splitTrailers, trailerLines } from "./headers.ts";

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/).filter((text) => !/^(nats-|trailer-|flotilla-)/.test(text));
/** What metadata may hold, without blanks at the ends, which no header keeps. */
const value = fc.stringMatching(/^[\x21-\x7e]([\x20-\x7e]{0,20}[\x21-\x7e])?$/);
const record = fc.dictionary(name, fc.oneof(value, fc.array(value, { minLength: 2, maxLength: 3 })), {
  noNullPrototype: true,
});

const encode = (text: string): Uint8Array => new EncodedHeaders(text).encode();
const plain = (of: object): object => ({ ...of });

describe("headers", () => {
  test("what is written is read: by us, and by the client library", () => {
    fc.assert(
      fc.property(record, record, (headers, trailers) => {
        const bytes = encode(headerLines(headers) + trailerLines(trailers));
        const split = splitTrailers(readHead(bytes).headers);
        assert.deepEqual(plain(split.headers), headers);
        assert.deepEqual(plain(split.trailers), trailers);
        const theirs = MsgHdrsImpl.decode(bytes);
        for (const [key, wanted] of Object.entries(headers)) assert.deepEqual(theirs.values(key), [wanted].flat());
      }),
    );
  });

  test("what the client library writes is read", () => {
    fc.assert(
      fc.property(record, (headers) => {
        const theirs = new MsgHdrsImpl();
        for (const [key, wanted] of Object.entries(headers)) for (const one of [wanted].flat()) theirs.append(key, one);
        if (theirs.size() > 0) assert.deepEqual(plain(readHead(theirs.encode()).headers), headers);
      }),
    );
  });

  test("names that mean something to NATS or to this transport are not the caller's", () => {
    const lines = headerLines({
      "nats-msg-id": "1",
      "flotilla-stream": "bidi_stream 1 1",
      "flotilla-unprocessed": "1",
      "x-mine": "2",
    });
    assert.equal(lines, "x-mine: 2\r\n");
  });

  test("no value can begin a line of its own", () => {
    const { headers } = readHead(encode(headerLine("x-a", "1\r\nx-b: 2\r\n\r\nbody")));
    assert.deepEqual(plain(headers), { "x-a": "1 x-b: 2 body" });
  });

  test("no name can begin a line of its own either", () => {
    const record = { "x-a\r\nNats-Service-Error-Code": "500", "x: y": "1", "": "2", "x-b": "3" };
    assert.equal(headerLines(record), "x-b: 3\r\n");
  });

  test("the broker's own status", () => {
    assert.equal(readHead(Buffer.from("NATS/1.0 503\r\n\r\n")).status, 503);
    assert.equal(readHead(Buffer.from("NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 1\r\n\r\n")).status, 408);
    assert.equal(readHead(Buffer.from("NATS/1.0 what\r\n\r\n")).status, 0);
    assert.equal(readHead(Buffer.from("NATS/1.0\r\n\r\n")).status, 0);
  });

  test("names in any case, and those that objects have", () => {
    const { headers } = readHead(
      Buffer.from("NATS/1.0\r\nX-A:1\r\nx-a:  2 \r\n__proto__: p\r\nconstructor: c\r\n\r\n"),
    );
    assert.deepEqual(headers["x-a"], ["1", "2"]);
    assert.equal(headers["__proto__"], "p");
    assert.equal(headers["constructor"], "c");
    assert.equal(headers["toString"], undefined);
  });

  test("malformed ones are refused, saying why", () => {
    const refused = (text: string, why: RegExp): void => {
      assert.throws(
        () => readHead(Buffer.from(text)),
        (error) => error instanceof ServiceError && error.code === "invalid_argument" && why.test(error.message),
      );
    };
    refused("", /does not begin/);
    refused("HTTP/1.1\r\n\r\n", /does not begin/);
    refused("NATS/1.0\r\nx-a: 1", /has no end/);
    refused("NATS/1.0\r\nno colon\r\n\r\n", /has no name/);
    refused("NATS/1.0\r\n: 1\r\n\r\n", /has no name/);
    refused("NATS/1.0\r\na b: 1\r\n\r\n", /"a b" is no name/);
    refused("NATS/1.0\r\nnö: 1\r\n\r\n", /is no name/);
    refused(`NATS/1.0\r\n${"a: 1\r\n".repeat(257)}\r\n`, /more than 256/);
  });

  test("whatever bytes come: headers, or an error that says what is wrong", () => {
    const lines = fc.array(fc.oneof(fc.string(), fc.constantFrom("x-a: 1", ":", "a:b:c", "é: 1")));
    const texts = lines.map((all) => Buffer.from(`NATS/1.0\r\n${all.join("\r\n")}\r\n\r\n`));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), texts), (bytes) => {
        try {
          readHead(bytes);
        } catch (error) {
          assert.ok(error instanceof ServiceError && error.code === "invalid_argument", String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
