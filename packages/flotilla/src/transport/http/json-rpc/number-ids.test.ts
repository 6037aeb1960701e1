import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { numberIds } from "./number-ids.ts";

/** What JSON.parse itself tells: the source of each number that is an `id`, by the object it stands in. */
function parsed(text: string): { value: unknown; sources: ReadonlyMap<unknown, string> } {
  const sources = new Map<unknown, string>();
  const note = function note(this: unknown, key: string, value: unknown, { source }: { source?: string }) {
    if (key === "id" && typeof value === "number") sources.set(this, source!);
    return value;
  };
  return { value: JSON.parse(text, note as Parameters<typeof JSON.parse>[1]), sources };
}

test("ids are found wherever they stand, and nothing else is taken for one", () => {
  assert.deepEqual(numberIds('{"a":{"id":1},"id" :\t1.50\n,"b":[{"id":2}],"c":"id"}', false), ["1.50"]);
  assert.deepEqual(numberIds('{"id":1,"\\u0069d":2e0}', false), ["2e0"]);
  assert.deepEqual(numberIds('{"id":1,"id":"1"}', false), [undefined]);
  assert.deepEqual(numberIds('{"a":"\\\\","b":"\\"id\\":3","id":-4}', false), ["-4"]);
  assert.deepEqual(
    [...numberIds('[{},["id",1],{"id":5},"id",{"x":[1,2],"id":6.0}]', true)],
    [undefined, undefined, "5", undefined, "6.0"],
  );
});

test("of any JSON it says what JSON.parse says", () => {
  const awkward = fc.constantFrom("id", 'i"d', "\\", '\\"id":', "{", "]", ",", " ");
  const key = fc.oneof(fc.constant("id"), awkward, fc.string());
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        awkward,
        fc.string(),
        fc.boolean(),
        fc.constant(null),
      ),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(key, tie("value"), { maxKeys: 5 }),
    ),
  }));
  const indent = fc.constantFrom(0, 2, "\t");
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 5 }), indent, (values, space) => {
      const batch = JSON.stringify(values, null, space);
      const whole = parsed(batch);
      const found = numberIds(batch, true);
      for (const [place, of] of (whole.value as unknown[]).entries()) {
        if (typeof of === "object" && of !== null) assert.equal(found[place], whole.sources.get(of));
        else assert.equal(found[place], undefined);
      }
      const text = JSON.stringify(values[0], null, space);
      const one = parsed(text);
      if (!Array.isArray(one.value)) assert.equal(numberIds(text, false)[0], one.sources.get(one.value));
    }),
    { numRuns: 3000 },
  );
});
