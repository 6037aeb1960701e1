import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { background } from "../context/with.ts";
import { outgoingHeaders, withHeaders } from "./call.ts";
import { copyRecord, Metadata, type MetadataRecord, newRecord } from "./metadata.ts";

const hostile = ["__proto__", "constructor", "valueof", "hasownproperty", "tostring"];

describe("records", () => {
  test("inherit nothing, and hold any name", () => {
    const record = newRecord();
    for (const name of hostile) assert.equal(record[name], undefined);
    for (const name of hostile) record[name] = name;
    assert.deepEqual(Object.keys(record), hostile);
    assert.equal(newRecord()["constructor"], undefined);
  });

  test("a copy shares nothing with the original", () => {
    const original = newRecord();
    original["__proto__"] = "odd";
    original["set-cookie"] = ["a", "b"];
    const copy = copyRecord(original);
    assert.deepEqual({ ...copy }, { ...original });
    (copy["set-cookie"] as string[]).push("c");
    copy["x-new"] = "1";
    assert.deepEqual(original["set-cookie"], ["a", "b"]);
    assert.equal(original["x-new"], undefined);
  });
});

describe("Metadata", () => {
  test("names are case-insensitive, values kept in order", () => {
    const metadata = new Metadata();
    metadata.set("X-Id", "1");
    metadata.append("x-ID", "2");
    metadata.append("X-id", "3");
    assert.equal(metadata.get("x-id"), "1, 2, 3");
    assert.deepEqual(metadata.getAll("X-ID"), ["1", "2", "3"]);
    metadata.set("x-id", "4");
    assert.deepEqual(metadata.getAll("x-id"), ["4"]);
    metadata.delete("X-ID");
    assert.equal(metadata.get("x-id"), undefined);
    assert.deepEqual(metadata.getAll("x-id"), []);
  });

  test("wraps a record without copying, and reads lists as Node gives them", () => {
    const record: MetadataRecord = { "set-cookie": ["a=1", "b=2"], host: "x", gone: undefined };
    const metadata = new Metadata(record);
    assert.equal(metadata.get("set-cookie"), "a=1, b=2");
    assert.equal(metadata.get("gone"), undefined);
    assert.deepEqual(
      [...metadata.entries()],
      [
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
        ["host", "x"],
      ],
    );
    metadata.append("host", "y");
    assert.deepEqual(record["host"], ["x", "y"]);
  });

  for (const record of [(): MetadataRecord => ({}), (): MetadataRecord => Object.create(null)]) {
    const kind = Object.getPrototypeOf(record()) === null ? "a bare record" : "a plain object";
    test(`names that objects inherit are names like any other, on ${kind}`, () => {
      for (const name of hostile) {
        const metadata = new Metadata(record());
        assert.equal(metadata.get(name), undefined);
        assert.deepEqual(metadata.getAll(name), []);
        metadata.append(name, "1");
        assert.equal(metadata.get(name), "1");
        metadata.append(name, "2");
        assert.deepEqual(
          [...metadata.entries()],
          [
            [name, "1"],
            [name, "2"],
          ],
        );
        metadata.set(name, "3");
        assert.equal(metadata.get(name), "3");
        metadata.delete(name);
        assert.deepEqual([...metadata.entries()], []);
        assert.equal(({} as Record<string, unknown>)["3"], undefined);
      }
    });
  }

  test("refuses names that are no token, saying which", () => {
    for (const name of ["", " ", "a b", "a:b", ":path", "a\r\nb", "ä", "a,b", "(x)", 'q"', "\0"]) {
      assert.throws(() => new Metadata().set(name, "x"), { name: "TypeError", message: /not a valid header name/ });
      assert.throws(() => new Metadata().append(name, "x"), TypeError);
    }
    for (const name of ["x-trace-bin", "a", "!#$%&'*+-.^_`|~09az"]) new Metadata().set(name, "x");
  });

  test("refuses values a header cannot carry, saying where, and keeps what was there", () => {
    const metadata = new Metadata();
    metadata.set("a", "kept");
    for (const value of ["a\r\nInjected: 1", "\0", "tab\tis fine\n", "ü", "\x7f", "日本"]) {
      assert.throws(() => metadata.set("a", value), {
        name: "TypeError",
        message: /at index \d+: use a name ending in -bin/,
      });
      assert.throws(() => metadata.append("a", value), TypeError);
    }
    assert.deepEqual(metadata.getAll("a"), ["kept"]);
    metadata.set("a", "tab\tand ~ are fine");
    metadata.set("a", "");
    assert.equal(metadata.get("a"), "");
  });

  test("-bin values are base64 text, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const metadata = new Metadata();
        metadata.set("trace-bin", Buffer.from(bytes).toString("base64"));
        assert.deepEqual(new Uint8Array(Buffer.from(metadata.get("trace-bin")!, "base64")), bytes);
      }),
    );
  });

  test("what is set comes back (property)", () => {
    const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}$/);
    const value = fc.stringMatching(/^[\t\x20-\x7e]{0,20}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.oneof(token, fc.constantFrom(...hostile)), value)), (pairs) => {
        const metadata = new Metadata({});
        const expected = new Map<string, string[]>();
        for (const [name, value] of pairs) {
          metadata.append(name, value);
          const key = name.toLowerCase();
          expected.set(key, [...(expected.get(key) ?? []), value]);
        }
        for (const [name, values] of expected) assert.deepEqual(metadata.getAll(name), values);
        assert.equal([...metadata.entries()].length, pairs.length);
      }),
    );
  });
});

describe("withHeaders", () => {
  test("adds to those of the contexts above, the nearest winning, and leaves theirs alone", () => {
    const outer = withHeaders(background(), { A: "1", b: "1" });
    const inner = withHeaders(outer, { B: "2" });
    assert.deepEqual(
      [...outgoingHeaders(inner)!.entries()],
      [
        ["a", "1"],
        ["b", "2"],
      ],
    );
    assert.deepEqual(
      [...outgoingHeaders(outer)!.entries()],
      [
        ["a", "1"],
        ["b", "1"],
      ],
    );
    assert.equal(outgoingHeaders(background()), undefined);
    assert.throws(() => withHeaders(outer, { "bad name": "x" }), TypeError);
  });
});
