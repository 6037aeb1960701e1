import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Container, type CopyRules, defaultLimits, type SafeFields, safeFields } from "./contain.ts";
import { lineNames } from "./pino-root.ts";
import { Redaction } from "./redaction.ts";

const rules = (redact: readonly string[] = [], limits = {}): CopyRules => ({
  redaction: new Redaction(redact),
  limits: { ...defaultLimits, ...limits },
  serializers: {},
});

function copied(fields: unknown, redact: readonly string[] = [], limits = {}, budget = 65_536): SafeFields {
  const target = safeFields();
  new Container(rules(redact, limits), budget).addFields(target, fields, lineNames);
  return target;
}

const json = (fields: unknown, ...rest: [(readonly string[])?, object?, number?]): unknown =>
  JSON.parse(JSON.stringify(copied(fields, ...rest)));

describe("copies of what is logged", () => {
  test("plain data is what JSON makes of it", () => {
    const plain = { a: 1, b: "x", c: true, d: null, e: [1, { f: [] }], g: { h: "i" } };
    assert.deepEqual(json(plain), plain);
  });

  test("what JSON cannot say is said in words", () => {
    const fields = {
      big: 12n,
      huge: 2n ** 300n,
      nan: Number.NaN,
      never: Number.POSITIVE_INFINITY,
      symbol: Symbol("s"),
      when: new Date(0),
      bad: new Date(Number.NaN),
      bytes: new Uint8Array(3),
      map: new Map<unknown, unknown>([
        ["k", 1],
        [{}, 2],
      ]),
      set: new Set([1, 2]),
      fn() {},
      gone: undefined,
      list: [undefined, () => 1],
    };
    assert.deepEqual(json(fields), {
      big: "12",
      huge: "[BigInt of over 256 bits]",
      nan: "NaN",
      never: "Infinity",
      symbol: "Symbol(s)",
      when: "1970-01-01T00:00:00.000Z",
      bad: "Invalid Date",
      bytes: "[Uint8Array of 3 bytes]",
      map: { k: 1, "[object 2]": 2 },
      set: [1, 2],
      list: [null, null],
    });
  });

  test("getters, proxies and toJSON that throw, and cycles, cost their own value and nothing else", () => {
    const cycle: Record<string, unknown> = { name: "c" };
    cycle["self"] = cycle;
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const fields = {
      before: 1,
      get bad(): never {
        throw new Error("no\nentry");
      },
      cycle,
      revoked: revoked.proxy,
      json: {
        toJSON() {
          throw new TypeError("none");
        },
      },
      error: Object.defineProperty(new Error("x"), "message", {
        get() {
          throw new Error("hidden");
        },
      }),
      after: 2,
    };
    const copy = json(fields) as Record<string, unknown>;
    assert.equal(copy["before"], 1);
    assert.equal(copy["bad"], "[unreadable: no\nentry]");
    assert.deepEqual(copy["cycle"], { name: "c", self: "[Circular]" });
    assert.match(String(copy["revoked"]), /^\[unreadable/);
    assert.equal(copy["json"], "[unreadable: none]");
    assert.equal((copy["error"] as Line)["message"], "[unreadable: hidden]");
    assert.equal(copy["after"], 2);
  });

  test("a string of ten megabytes, a million elements and a thousand levels are cut, and the line says so", () => {
    let deep: unknown = "bottom";
    for (let i = 0; i < 1000; i++) deep = { deep };
    const copy = copied({ text: "x".repeat(10_000_000), list: Array.from({ length: 1_000_000 }, () => 1), deep });
    const text = JSON.stringify(copy);
    assert.ok(text.length < 20_000, `${text.length} characters`);
    assert.equal(copy["log_cut"], true);
    assert.match(String(copy["text"]), /… \[9983616 more characters\]$/);
  });

  test("a name that is the line's own gets another; __proto__ is a field like any other", () => {
    const hostile = JSON.parse(
      '{"level":"x","time":0,"msg":"y","trace_id":"z","__proto__":{"polluted":true}}',
    ) as object;
    const copy = copied(hostile);
    assert.deepEqual(Object.keys(copy), ["app.level", "app.time", "app.msg", "app.trace_id", "__proto__"]);
    assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
  });

  test("an error has type, message, code, stack, causes and its own members", () => {
    const error = Object.assign(new TypeError("outer", { cause: new RangeError("inner") }), {
      code: "E_X",
      detail: { table: "cargo" },
    });
    const { err } = copied(error) as { err: Record<string, unknown> };
    assert.equal(err["type"], "TypeError");
    assert.equal(err["message"], "outer");
    assert.equal(err["code"], "E_X");
    assert.match(String(err["stack"]), /^TypeError: outer\n\s+at /);
    assert.deepEqual(err["detail"], copied({ table: "cargo" }));
    const cause = err["cause"] as Record<string, unknown>;
    assert.deepEqual([cause["type"], cause["message"]], ["RangeError", "inner"]);
  });

  test("redacts by path, by wildcard, at any depth, in errors and in what toJSON gives", () => {
    const fields = {
      user: { email: "a@b", name: "a" },
      items: [
        { card: "1", n: 1 },
        { card: "2", n: 2 },
      ],
      deep: { deeper: { password: "p" } },
      err: Object.assign(new Error("x"), { password: "q" }),
      lazy: { toJSON: () => ({ password: "r", ok: 1 }) },
      map: new Map([["password", "s"]]),
      "a.b": 1,
    };
    const copy = json(fields, ["user.email", "items[*].card", "**.password", '["a.b"]']) as Record<string, unknown>;
    const text = JSON.stringify(copy);
    for (const secret of ["a@b", '"card":"1"', '"card":"2"', '"p"', '"q"', '"r"', '"s"']) {
      assert.ok(!text.includes(secret), `${secret} in ${text}`);
    }
    assert.equal(copy["a.b"], "[redacted]");
    assert.deepEqual(copy["user"], { email: "[redacted]", name: "a" });
    assert.deepEqual((copy["items"] as unknown[])[1], { card: "[redacted]", n: 2 });
    assert.equal(text.includes('"ok":1'), true);
  });

  test("paths that cannot be read are refused, showing them", () => {
    for (const path of ["", ".a", "a..b", "a[", "a[x]", "**", "a.**.b", "**.a.b"]) {
      assert.throws(() => new Redaction([path]), {
        name: "RangeError",
        message: /logging: redact cannot use the path/,
      });
    }
  });

  test("whatever it is, it is copied without an exception, within the budget, into what JSON can say (property)", () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withTypedArray: true,
          withNullPrototype: true,
          withSparseArray: true,
        }),
        fc.integer({ min: 100, max: 20_000 }),
        (value, budget) => {
          const text = JSON.stringify(copied({ value }, [], {}, budget));
          JSON.parse(text);
          assert.ok(!text.includes("\n"));
          // Names and marks of what was cut come on top.
          assert.ok(text.length <= budget + 1000, `${text.length} of ${budget}`);
        },
      ),
      { numRuns: 500 },
    );
  });
});

type Line = Readonly<Record<string, unknown>>;
