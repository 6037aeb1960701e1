// The examples of https://www.jsonrpc.org/specification, section 7, under the names they have there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { contract, type Implementation } from "../../../contract/contract.ts";
import { unary } from "../../../contract/method.ts";
import { implement } from "../../../service/implement.ts";
import { nothingEscapes, serve } from "../test-fixtures/bed.ts";
import { jsonRpc } from "./server.ts";
import { post } from "./test-fixtures/post.ts";

nothingEscapes();

const numbers = z.array(z.number());
/** By name or by position: an input that takes both says so. */
const operands = z.union([
  z.object({ minuend: z.number(), subtrahend: z.number() }),
  z.tuple([z.number(), z.number()]).transform(([minuend, subtrahend]) => ({ minuend, subtrahend })),
]);

const Examples = contract("example.v1.Examples", {
  subtract: unary({ input: operands, output: z.number() }),
  sum: unary({ input: numbers, output: z.number() }),
  update: unary({ input: numbers, output: z.void() }),
  notify_hello: unary({ input: numbers, output: z.void() }),
  notify_sum: unary({ input: numbers, output: z.void() }),
  get_data: unary({ input: z.object({}), output: z.tuple([z.string(), z.number()]) }),
});

/** Asks as the example does. @returns the answer without what errors have beside code and message. */
async function example(t: Parameters<typeof serve>[0], body: string): Promise<{ answer: unknown; told: unknown[] }> {
  const told: unknown[] = [];
  const note = (_ctx: unknown, params: number[]): void => void told.push(params);
  const examples: Implementation<typeof Examples> = {
    subtract: (_ctx, { minuend, subtrahend }) => minuend - subtrahend,
    sum: (_ctx, params) => params.reduce((sum, one) => sum + one, 0),
    update: note,
    notify_hello: note,
    notify_sum: note,
    get_data: () => ["hello", 5] as [string, number],
  };
  const protocols = [jsonRpc({ methodName: ({ name }) => name })];
  const { address } = await serve(t, { protocols }, implement(Examples, examples));
  const { status, headers, text } = await post(address, body);
  if (status === 204) {
    assert.equal(text, "");
    return { answer: undefined, told };
  }
  assert.equal(status, 200);
  assert.equal(headers["content-type"], "application/json");
  const answer = JSON.parse(text, (key, value) => (key === "data" ? undefined : value)) as unknown;
  return { answer, told };
}

const notFound = { code: -32_601, message: "Method not found" };
const parseError = { code: -32_700, message: "Parse error" };
const invalidRequest = { code: -32_600, message: "Invalid Request" };
const invalid = { jsonrpc: "2.0", error: invalidRequest, id: null };

const examples: Record<string, readonly [request: string, answer: unknown, told?: unknown[]][]> = {
  "rpc call with positional parameters": [
    ['{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', { jsonrpc: "2.0", result: 19, id: 1 }],
    ['{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}', { jsonrpc: "2.0", result: -19, id: 2 }],
  ],
  "rpc call with named parameters": [
    [
      '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
      { jsonrpc: "2.0", result: 19, id: 3 },
    ],
    [
      '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
      { jsonrpc: "2.0", result: 19, id: 4 },
    ],
  ],
  "a Notification": [
    ['{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', undefined, [[1, 2, 3, 4, 5]]],
    ['{"jsonrpc": "2.0", "method": "foobar"}', undefined],
  ],
  "rpc call of non-existent method": [
    ['{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', { jsonrpc: "2.0", error: notFound, id: "1" }],
  ],
  "rpc call with invalid JSON": [
    ['{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', { jsonrpc: "2.0", error: parseError, id: null }],
  ],
  "rpc call with invalid Request object": [['{"jsonrpc": "2.0", "method": 1, "params": "bar"}', invalid]],
  "rpc call Batch, invalid JSON": [
    [
      `[
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method"
      ]`,
      { jsonrpc: "2.0", error: parseError, id: null },
    ],
  ],
  "rpc call with an empty Array": [["[]", invalid]],
  "rpc call with an invalid Batch (but not empty)": [["[1]", [invalid]]],
  "rpc call with invalid Batch": [["[1,2,3]", [invalid, invalid, invalid]]],
  "rpc call Batch": [
    [
      `[
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
        {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
      ]`,
      [
        { jsonrpc: "2.0", result: 7, id: "1" },
        { jsonrpc: "2.0", result: 19, id: "2" },
        invalid,
        { jsonrpc: "2.0", error: notFound, id: "5" },
        { jsonrpc: "2.0", result: ["hello", 5], id: "9" },
      ],
      [[7]],
    ],
  ],
  "rpc call Batch (all notifications)": [
    [
      `[
        {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
      ]`,
      undefined,
      [[1, 2, 4], [7]],
    ],
  ],
};

for (const [name, cases] of Object.entries(examples)) {
  test(name, async (t) => {
    for (const [body, answer, told = []] of cases) {
      assert.deepEqual(await example(t, body), { answer, told });
    }
  });
}
