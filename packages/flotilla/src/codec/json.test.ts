import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ServiceError } from "../errors/service-error.ts";
import { parseJson } from "./json.ts";

const refused = (text: string, message: RegExp): void =>
  assert.throws(
    () => parseJson(text),
    (error: unknown) =>
      error instanceof ServiceError && error.code === "invalid_argument" && message.test(error.message),
    text.slice(0, 200),
  );

describe("parseJson", () => {
  it("says where text is not JSON", () => {
    for (const text of ["", "{", "{'a':1}", "[1,]", "nul", "01", '"\u0001"', "1 2", "\uFEFF{}"])
      refused(text, /^the message is not valid JSON: /);
    refused('{"a": }', /Unexpected token '}'/);
    refused(`{"a":"${"x".repeat(1_000)}", b}`, /position 1009/);
  });

  it("quotes no more than a little of a long text", () => {
    assert.throws(
      () => parseJson(`[${"x".repeat(100_000)}`),
      (error: Error) => error.message.length < 400,
    );
  });

  it("refuses __proto__ anywhere, however it is spelled", () => {
    const all = [
      '{"__proto__":1}',
      '[{"a":[{"__proto__":{}}]}]',
      '{"\\u005f_proto__":1}',
      '{"__\\u0070roto__":1}',
      '{"\\u005F\\u005Fproto\\u005f_":null}',
    ];
    for (const text of all) refused(text, /key "__proto__", which is refused: rename the field/);
  });

  it("refuses a constructor with a prototype", () => {
    const all = [
      '{"constructor":{"prototype":{}}}',
      '[{"constructor":{"prototype":1}}]',
      '{"c\\u006fnstructor":{"prototyp\\u0065":1}}',
    ];
    for (const text of all) refused(text, /key "constructor"/);
    for (const text of [
      '{"constructor":"Ada"}',
      '{"constructor":null}',
      '{"constructor":{"name":"x"}}',
      '{"prototype":{"constructor":1}}',
    ]) {
      assert.deepEqual(parseJson(text), JSON.parse(text));
    }
  });

  it("lets both words stand in values", () => {
    assert.deepEqual(parseJson('["__proto__","constructor"]'), ["__proto__", "constructor"]);
    assert.deepEqual(parseJson('{"a":"__proto__"}'), { a: "__proto__" });
  });

  it("no depth overflows the stack", () => {
    for (const depth of [1_000, 100_000]) {
      const open = '{"a":['.repeat(depth);
      const close = "]}".repeat(depth);
      parseJson(`${open}1${close}`);
      refused(`${open}{"__proto__":1}${close}`, /__proto__/);
      refused(open, /not valid JSON/);
    }
  });

  it("takes time in proportion to the text, keys checked or not", () => {
    const text = (n: number) =>
      `{"\\u0061":[${Array.from({ length: n }, (_, i) => `{"k${i % 50}":${i},"constructor":"x"}`).join(",")}]}`;
    const time = (input: string) => {
      let best = Number.POSITIVE_INFINITY;
      for (let round = 0; round < 5; round++) {
        const start = performance.now();
        parseJson(input);
        best = Math.min(best, performance.now() - start);
      }
      return best;
    };
    const small = text(5_000);
    const large = text(50_000);
    time(small);
    // Ten times the text: were it quadratic, it would take a hundred times as long.
    assert.ok(time(large) < 40 * Math.max(time(small), 0.5));
  });

  it("gives what JSON.parse gives, and refuses what a recursive reference refuses (property)", () => {
    const key = fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "prototype", "a", "toString"));
    const json = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.constantFrom(null, true, 0, -1.5, "", "__proto__", "constructor"),
        fc.string(),
        fc
          .array(tie("value"), { maxLength: 4 })
          .map((list) => `[${list.map((item) => encode(item)).join(",")}]`)
          .map(raw),
        fc
          .array(fc.tuple(key, tie("value"), fc.boolean()), { maxLength: 4 })
          .map((entries) =>
            raw(
              `{${entries.map(([name, value, escaped]) => `${escaped ? escape(name) : JSON.stringify(name)}:${encode(value)}`).join(",")}}`,
            ),
          ),
      ),
    })).value;
    fc.assert(
      fc.property(json, (value) => {
        const text = encode(value);
        const expected: unknown = JSON.parse(text);
        if (polluting(expected)) assert.throws(() => parseJson(text), ServiceError);
        else assert.deepEqual(parseJson(text), expected);
      }),
      { numRuns: 1_000 },
    );
  });
});

class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}
const raw = (text: string): Raw => new Raw(text);
const encode = (value: unknown): string => (value instanceof Raw ? value.text : JSON.stringify(value));
const escape = (name: string): string =>
  `"${[...Array(name.length).keys()].map((i) => `\\u${name.charCodeAt(i).toString(16).padStart(4, "0")}`).join("")}"`;

function polluting(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Object.hasOwn(value, "__proto__")) return true;
  const inner = Object.hasOwn(value, "constructor") ? (value as Record<string, unknown>)["constructor"] : undefined;
  if (typeof inner === "object" && inner !== null && Object.hasOwn(inner, "prototype")) return true;
  return Object.values(value).some(polluting);
}
