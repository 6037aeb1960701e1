import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ConsumeMessage, Message, MessageProperties } from "amqplib";
import fc from "fast-check";
import { background } from "flotilla/context";
import { ServiceError } from "flotilla/errors";
import { implement } from "flotilla/service";
import { Serving, settleWire } from "flotilla/wire";
import { readBody, readHeaders, typeOf } from "./message.ts";
import { SentCall } from "./sent-call.ts";
import { Tracking } from "./test-fixtures/cargo.ts";

const typed = (contentType: unknown, contentEncoding?: unknown): string =>
  typeOf({ contentType, contentEncoding } as MessageProperties);

describe("headers", () => {
  test("text, numbers and truth values are metadata, names in lower case; tables and bytes are not", () => {
    const headers = readHeaders({
      "X-Tenant": "acme",
      n: 7,
      yes: true,
      many: ["a", "b"],
      none: undefined,
      "x-death": [{ count: 1 }],
      mixed: ["a", 1],
      empty: [],
      table: { a: "b" },
      bytes: Buffer.from("x"),
      nothing: null,
    });
    assert.deepEqual({ ...headers }, { "x-tenant": "acme", n: "7", yes: "true", many: ["a", "b"] });
    assert.equal(headers["constructor"], undefined);
    assert.deepEqual({ ...readHeaders(undefined) }, {});
  });

  test("a name that would change what others inherit is one like any other", () => {
    const table = JSON.parse('{"__proto__": "x"}') as object;
    assert.equal(readHeaders(table)["__proto__"], "x");
    assert.equal(({} as Record<string, unknown>)["x"], undefined);
  });
});

test("content types", () => {
  for (const json of [undefined, "", "application/json", "application/json; charset=utf-8", "Application/JSON"]) {
    assert.equal(typed(json), "application/json");
  }
  for (const proto of ["application/proto", "application/protobuf", "application/x-protobuf"]) {
    assert.equal(typed(proto), "application/proto");
  }
  assert.equal(typed(undefined, "utf-8"), "application/json");
  assert.throws(() => typed("text/plain"), /content-type "text\/plain" is neither/);
  assert.throws(() => typed(7), /content-type "7" is neither/);
  assert.throws(() => typed(undefined, "gzip"), /content-encoding "gzip" is not spoken here/);
});

/** Whatever a field table can hold. */
const tables = fc.letrec((tie) => ({
  value: fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.record({ "!": fc.constant("timestamp"), value: fc.nat() }),
    fc.array(tie("value"), { maxLength: 4 }),
    tie("table"),
  ),
  table: fc.dictionary(fc.string({ unit: "binary", maxLength: 20 }), tie("value"), { maxKeys: 8 }),
}));

const properties = fc.record(
  {
    headers: fc.oneof(tables.table, fc.dictionary(fc.constantFrom("x-a", "x-b", "traceparent"), tables.value)),
    contentType: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom("application/json", "application/proto") },
      fc.string(),
    ),
    contentEncoding: fc.option(fc.constantFrom("gzip", "identity", "", "utf-8"), { nil: undefined }),
    correlationId: fc.oneof(fc.constant("call.1"), fc.string()),
    type: fc.oneof(fc.constantFrom("response", "error", "refused", "cargo.v1.Tracking/find"), fc.string()),
    replyTo: fc.string(),
  },
  { requiredKeys: [] },
);

const content = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((text) => Buffer.from(text)),
  fc
    .record({ code: fc.string(), message: fc.anything(), details: fc.anything() })
    .map((error) => Buffer.from(JSON.stringify(error, (_, value: unknown) => (typeof value === "bigint" ? 0 : value)))),
);

describe("whatever comes", () => {
  test("a request is read, or refused with an error that may be shown", async () => {
    const serving = new Serving(
      "amqp://test",
      settleWire("amqp", {}),
      [implement(Tracking, { find: (_ctx, cargo) => cargo, book: (_ctx, cargo) => cargo })],
      background(),
      () => {},
    );
    const method = serving.find("cargo.v1.Tracking/find")!;
    let ends = 0;
    const caller = {
      head: () => {},
      message: () => true,
      end: () => void ends++,
      abandon: () => assert.fail("abandoned"),
    };
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(properties, content, async (given, body) => {
        try {
          const headers = readHeaders(given.headers);
          const type = typeOf(given as MessageProperties);
          headers["content-type"] = type;
          serving.accept(method, headers, readBody(body, type, 150), caller);
          taken++;
        } catch (error) {
          assert.ok(error instanceof ServiceError, String(error));
          assert.ok(["invalid_argument", "resource_exhausted", "unimplemented"].includes(error.code), error.message);
          assert.ok(error.message.length < 500, "the peer's input is not sent back at length");
        }
      }),
      { numRuns: 2000 },
    );
    await serving.drain();
    assert.ok(taken > 100);
    assert.equal(ends, taken);
  });

  test("an answer ends its call exactly once, with a value or a ServiceError", () => {
    fc.assert(
      fc.property(properties, content, (given, body) => {
        let ends = 0;
        const caller = {
          head: () => {},
          message: () => true,
          end: (error: string | undefined) => {
            ends++;
            if (error !== undefined) JSON.parse(error);
          },
          abandon: (error: ServiceError) => {
            ends++;
            assert.ok(error instanceof ServiceError);
          },
        };
        let done = 0;
        const owner = { done: () => void done++, gaveUp: () => assert.fail("nobody gave up") };
        const call = new SentCall("call.1", Tracking.methods[0]!, caller, 150, owner);
        const message = { content: body, properties: given, fields: {} } as unknown as ConsumeMessage & Message;
        call.answered(message);
        call.answered(message);
        assert.equal(ends, 1);
        assert.equal(done, 1);
      }),
      { numRuns: 2000 },
    );
  });
});
