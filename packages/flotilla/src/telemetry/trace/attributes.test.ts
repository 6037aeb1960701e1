import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cleanValue, putAttribute, putAttributes } from "./attributes.ts";

const clean = (value: unknown, maxLength = 100): unknown => cleanValue(value, maxLength);

describe("values of attributes", () => {
  test("what exporters take is kept, as a copy", () => {
    for (const value of ["text", "", 1, -0.5, Number.NaN, Infinity, true, false]) assert.equal(clean(value), value);
    const list = [1, "a", null, true];
    const copy = clean(list);
    assert.deepEqual(copy, list);
    list.push("later");
    assert.deepEqual(copy, [1, "a", null, true]);
    const bytes = new Uint8Array([1, 2, 3]);
    const kept = clean(bytes) as Uint8Array;
    bytes[0] = 9;
    assert.deepEqual(kept, new Uint8Array([1, 2, 3]));
    assert.deepEqual(JSON.stringify(clean({ a: { b: [1] }, gone: undefined, f() {} })), '{"a":{"b":[1]}}');
  });

  test("what has an obvious form gets it", () => {
    assert.equal(clean(10n ** 20n), "100000000000000000000");
    assert.equal(clean(new Date(0)), "1970-01-01T00:00:00.000Z");
    assert.equal(clean(new Error("message")), "message");
  });

  test("what is no value is none", () => {
    for (const value of [undefined, null, Symbol("s"), () => 1, new Date(Number.NaN)])
      assert.equal(clean(value), undefined);
  });

  test("long strings and byte arrays are cut, never within a character", () => {
    assert.equal(clean("abcdef", 3), "abc");
    assert.equal(clean("ab🚢", 3), "ab");
    assert.equal(clean("a🚢b", 3), "a🚢");
    assert.equal(clean("x".repeat(10_000_000), 65_536), "x".repeat(65_536));
    assert.deepEqual(clean(new Uint8Array(9), 3), new Uint8Array(3));
    assert.deepEqual(clean(["abcdef"], 3), ["abc"]);
  });

  test("depth and size are bounded, cycles end", () => {
    const cycle: { self?: unknown; n: number } = { n: 1 };
    cycle.self = cycle;
    assert.equal(JSON.stringify(clean(cycle)), '{"n":1,"self":{"n":1,"self":{"n":1,"self":{"n":1,"self":null}}}}');
    const huge = clean(Array.from({ length: 100 }, () => Array.from({ length: 100 }, () => 1))) as unknown[][];
    assert.ok(huge.flat().length <= 1_024);
    assert.equal((clean(Array.from({ length: 1e6 }, (_, i) => i)) as unknown[]).length, 1_024);
    const sparse: unknown[] = [];
    sparse.length = 2 ** 32 - 1;
    assert.equal((clean(sparse) as unknown[]).length, 1_024);
  });

  test("names that objects inherit are names like any other; getters that throw give null", () => {
    const value = JSON.parse('{"__proto__": {"x": 1}, "constructor": 2}') as Record<string, unknown>;
    Object.defineProperty(value, "bad", {
      enumerable: true,
      get() {
        throw new Error("getter");
      },
    });
    const copy = clean(value) as Record<string, unknown>;
    assert.deepEqual(
      Object.entries(copy).map(([name, one]) => [name, JSON.stringify(one)]),
      [
        ["__proto__", '{"x":1}'],
        ["constructor", "2"],
        ["bad", "null"],
      ],
    );
    assert.equal(({} as { x?: number }).x, undefined);
  });
});

describe("lists of attributes", () => {
  test("the last of a name counts, and a full list takes no new names", () => {
    const list: unknown[] = [];
    for (const [name, value] of [
      ["a", 1],
      ["b", 2],
      ["a", 3],
      ["c", 4],
    ] as const)
      putAttribute(list, name, value, 2, 10);
    assert.deepEqual(list, ["a", 3, "b", 2]);
    assert.equal(putAttribute(list, "", 1, 10, 10), false);
    assert.equal(putAttribute(list, 7 as never, 1, 10, 10), false);
    assert.equal(putAttribute(list, "d", Symbol("s"), 10, 10), false);
    assert.deepEqual(list, ["a", 3, "b", 2]);
  });

  test("objects: null and undefined are skipped, what is dropped is counted, a million names cost little", () => {
    const list: unknown[] = [];
    assert.equal(
      putAttributes(
        list,
        {
          a: 1,
          b: null,
          c: undefined,
          d: Symbol("s"),
          get e(): never {
            throw new Error("x");
          },
        },
        10,
        10,
      ),
      2,
    );
    assert.deepEqual(list, ["a", 1]);
    assert.equal(putAttributes(list, "text", 10, 10) + putAttributes(list, null, 10, 10), 0);
    const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i]));
    assert.equal(putAttributes(list, many, 10, 10), 100_000 - 9);
    assert.equal(list.length, 20);
  });
});
