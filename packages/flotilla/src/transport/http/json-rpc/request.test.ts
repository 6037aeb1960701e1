import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readRequests } from "./request.ts";

function only(text: string) {
  const { batch, requests } = readRequests(text, 10);
  assert.equal(batch, false);
  assert.equal(requests.length, 1);
  return requests[0]!;
}

const call = (id: string, more = ""): string => `{"jsonrpc":"2.0","method":"m"${more},"id":${id}}`;

test("ids are echoed as they are written, whatever JavaScript makes of a number", () => {
  const ids = ['"1"', '""', "0", "-1", "null", "1.5", "1e400", "-0.25", "12345678901234567890", "9007199254740993"];
  for (const id of ids) {
    assert.deepEqual(only(call(id)), { id, method: "m", params: {} }, id);
    const { requests } = readRequests(`[${call("1")},${call(id)},${call('"x"')}]`, 10);
    assert.deepEqual(
      requests.map((request) => request.id),
      ["1", id, '"x"'],
    );
  }
  assert.equal(only(call('"\\ud800 \\u0041"')).id, '"\\ud800 A"');
});

test("a number beside the id, and one inside of params, are not taken for it", () => {
  assert.equal(only(call("1.5", ',"params":{"id":2.5}')).id, "1.5");
  assert.equal(only(call("1.5", ',"params":[{"id":2.5}],"x":{"id":3.5}')).id, "1.5");
  assert.equal(only('{"id":1.5,"jsonrpc":"2.0","method":"m","id":2.50}').id, "2.50", "of several, the last counts");
});

test("an id that is none makes an invalid request, answered to null", () => {
  for (const id of ["true", "false", "{}", "[]", "[1]", '{"id":1}']) {
    const { id: echoed, refused } = only(call(id));
    assert.deepEqual([echoed, refused?.as.code], ["null", -32_600], id);
  }
});

test("without an id it is a notification; with null it is none", () => {
  assert.equal(only('{"jsonrpc":"2.0","method":"m"}').id, undefined);
  assert.equal(only(call("null")).id, "null");
});

test("the version is checked, and the id echoed all the same", () => {
  for (const version of ['"1.0"', "2", "2.0", '"2"', '"2.0 "', "null", "[]"]) {
    const { id, refused } = only(`{"jsonrpc":${version},"method":"m","id":7}`);
    assert.deepEqual([id, refused?.as.code], ["7", -32_600], version);
  }
  assert.equal(only('{"method":"m","id":7}').refused?.as.code, -32_600);
});

test("params are an object, an array, or not there", () => {
  assert.deepEqual(only(call("1", ',"params":[1]')).params, [1]);
  assert.deepEqual(only(call("1", ',"params":{"a":1}')).params, { a: 1 });
  assert.deepEqual(only(call("1")).params, {});
  for (const params of ["null", "1", '"x"', "true"]) {
    assert.equal(only(call("1", `,"params":${params}`)).refused?.as.code, -32_600, params);
  }
});

test("keys that turn into prototype pollution are refused as invalid params, however they are spelled", () => {
  for (const params of [
    '{"__proto__":{"admin":true}}',
    '{"a":[{"__proto__":1}]}',
    '{"\\u005f_proto__":1}',
    '{"constructor":{"prototype":{}}}',
  ]) {
    const { id, refused } = only(call("7", `,"params":${params}`));
    assert.deepEqual([id, refused?.as.code], ["7", -32_602], params);
  }
  const odd = only('{"__proto__":{"id":1,"jsonrpc":"2.0","method":"m"}}');
  assert.deepEqual([odd.id, odd.refused?.as.code], ["null", -32_600], "nothing is inherited");
  assert.equal(only('{"jsonrpc":"2.0","method":"__proto__","id":1}').refused, undefined, "a value is no key");
});

test("batches are bounded", () => {
  const batch = (size: number) =>
    readRequests(`[${Array.from({ length: size }, (_, i) => call(String(i))).join()}]`, 3);
  assert.deepEqual(
    batch(3).requests.map(({ id }) => id),
    ["0", "1", "2"],
  );
  const { batch: several, requests } = batch(4);
  assert.deepEqual(
    [several, requests.length, requests[0]!.id, requests[0]!.refused?.as.code],
    [false, 1, "null", -32_600],
  );
});

test("deep nesting is read, or refused, and never breaks", () => {
  const deep = "[".repeat(200_000) + "]".repeat(200_000);
  assert.equal(only(call("1", `,"params":${deep}`)).id, "1");
  assert.equal(only(call("1.50", `,"params":${deep}`)).id, "1.5", "the digits of an id cannot be had then");
  assert.equal(only(call("1", `,"params":{"__proto__":${deep}}`)).refused?.as.code, -32_602);
  assert.equal(readRequests(deep, 10).requests[0]!.refused?.as.code, -32_600);
});

test("any text is read as something that can be answered", () => {
  const request = fc.record(
    {
      jsonrpc: fc.oneof(fc.constant("2.0"), fc.jsonValue()),
      method: fc.oneof(fc.string(), fc.jsonValue()),
      params: fc.jsonValue(),
      id: fc.oneof(fc.string(), fc.double(), fc.jsonValue()),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  const json = fc.oneof(request, fc.array(fc.oneof(request, fc.jsonValue()), { maxLength: 12 }), fc.jsonValue());
  const text = fc.oneof(
    json.map((value) => JSON.stringify(value)),
    fc.tuple(json, fc.nat(), fc.string({ maxLength: 3 })).map(([value, at, junk]) => {
      const whole = JSON.stringify(value);
      const cut = at % (whole.length + 1);
      return whole.slice(0, cut) + junk + whole.slice(cut + 1);
    }),
    fc.string(),
  );
  fc.assert(
    fc.property(text, (body) => {
      const { batch, requests } = readRequests(body, 10);
      assert.ok(requests.length > 0 && requests.length <= 10);
      assert.ok(batch || requests.length === 1);
      for (const { id, method, params, refused } of requests) {
        assert.equal(typeof method, "string");
        if (refused === undefined) assert.ok(typeof params === "object" && params !== null);
        else assert.ok([-32_700, -32_600, -32_602].includes(refused.as.code));
        if (id === undefined) continue;
        const echoed = JSON.parse(id) as unknown;
        assert.ok(echoed === null || typeof echoed === "string" || typeof echoed === "number");
      }
    }),
    { numRuns: 2000 },
  );
});
