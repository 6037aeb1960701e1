import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { contract } from "./contract.ts";
import { bidiStream, clientStream, type MethodSpec, serverStream, type UnaryOptions, unary } from "./method.ts";
import { parseRestRoute, type RestOptions } from "./rest-route.ts";
import type { Schema } from "./schema.ts";

const shape = { input: z.object({ a: z.number() }), output: z.object({ v: z.number() }) };
const one = (options: Omit<UnaryOptions<Schema, Schema>, "input" | "output"> = {}) =>
  contract("t.v1.T", { m: unary({ ...shape, ...options }) }).methods[0]!;

describe("contract", () => {
  it("says all that is known of each method, in order of declaration", () => {
    const failed = () => undefined;
    const Calculator = contract(
      "calc.v1.Calculator",
      {
        sum: unary({
          ...shape,
          idempotent: true,
          timeoutMs: 250,
          doc: "Adds.",
          rest: { route: "POST /sums", status: 201 },
          failed,
        }),
        count: serverStream(shape),
        add: clientStream(shape),
        talk: bidiStream(shape),
      },
      { doc: "Calculates." },
    );
    assert.equal(Calculator.name, "calc.v1.Calculator");
    assert.equal(Calculator.doc, "Calculates.");
    assert.deepEqual(
      Calculator.methods.map(({ kind, key, name }) => [kind, key, name]),
      [
        ["unary", "sum", "sum"],
        ["server_stream", "count", "count"],
        ["client_stream", "add", "add"],
        ["bidi_stream", "talk", "talk"],
      ],
    );
    const { input, output, ...info } = Calculator.methods[0]!;
    assert.ok(input !== output);
    assert.deepEqual(info, {
      service: "calc.v1.Calculator",
      name: "sum",
      procedure: "calc.v1.Calculator/sum",
      key: "sum",
      kind: "unary",
      idempotent: true,
      safe: false,
      timeoutMs: 250,
      rest: { method: "POST", path: "/sums", segments: ["sums"], status: 201 },
      doc: "Adds.",
      failed,
    });
    assert.ok(
      Object.isFrozen(Calculator) && Object.isFrozen(Calculator.methods) && Object.isFrozen(Calculator.methods[0]),
    );
  });

  it("a method is idempotent and safe as declared, or as its REST verb says", () => {
    const is = (options: Parameters<typeof one>[0]) => {
      const { idempotent, safe } = one(options);
      return `${idempotent ? "idempotent" : "once"}${safe ? " safe" : ""}`;
    };
    assert.equal(is({}), "once");
    assert.equal(is({ idempotent: true }), "idempotent");
    assert.equal(is({ safe: true }), "idempotent safe");
    assert.equal(is({ rest: "GET /m" }), "idempotent safe");
    assert.equal(is({ rest: "PUT /m" }), "idempotent");
    assert.equal(is({ rest: "DELETE /m" }), "idempotent");
    assert.equal(is({ rest: "POST /m" }), "once");
    assert.equal(is({ rest: "PATCH /m" }), "once");
    assert.equal(is({ rest: "POST /m", safe: true }), "idempotent safe");
    assert.equal(is({ rest: "DELETE /m", idempotent: false }), "once");
    assert.throws(
      () => one({ rest: "GET /m", idempotent: false }),
      /t\.v1\.T\/m: a GET route must be idempotent and safe/,
    );
    assert.throws(() => one({ rest: "GET /m", safe: false }), /must be idempotent and safe/);
    assert.throws(() => one({ idempotent: false, safe: true }), /leave out idempotent/);
  });

  it("refuses names that cannot stand on the wire", () => {
    for (const name of ["", "a b", "1a", "a..b", ".a", "a.", "a/b", "a-b", "é"]) {
      assert.throws(
        () => contract(name, {}),
        { name: "TypeError", message: /is not a service name: use dotted identifiers/ },
        name,
      );
    }
    for (const name of ["a b", "", "a-b", "a/b", "1"]) {
      assert.throws(() => contract("t.T", { [name]: unary(shape) }), /a method name must be an identifier/, name);
    }
    assert.throws(() => contract("t.T", { ["the".concat("n")]: unary(shape) }), /would look like a promise: rename it/);
    assert.throws(
      () => contract("t.T", { a: unary(shape), b: { ...unary(shape), wireName: "a" } }),
      /"a" and "b" have the same name/,
    );
    assert.throws(() => contract("t.T", { constructor: unary(shape) }), /every class has a "constructor" already/);
    contract("Plain", { _a1: unary(shape) });
  });

  it("refuses timeouts that are none", () => {
    for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => one({ timeoutMs }), /t\.v1\.T\/m: timeoutMs must be a number of milliseconds above 0/);
    }
  });

  it("refuses a route on a stream", () => {
    const stream = serverStream({ ...shape, rest: "POST /m" } as typeof shape) as MethodSpec;
    assert.throws(
      () => contract("t.T", { m: stream }),
      /a REST route is for unary methods, and this one is server_stream/,
    );
  });

  it("refuses two methods on one route, whatever its parameters are called", () => {
    const two = (a: RestOptions, b: RestOptions) =>
      contract("t.T", { a: unary({ ...shape, rest: a }), b: unary({ ...shape, rest: b }) });
    assert.throws(
      () => two("POST /x/{id}", "POST /x/{name}"),
      /t\.T\/b: its REST route POST \/x\/\{name\} is that of t\.T\/a already/,
    );
    two("POST /x/{id}", "PUT /x/{id}");
    two("POST /x/{id}", "POST /x/all");
  });
});

describe("REST routes", () => {
  const parse = (rest: RestOptions) => parseRestRoute(rest, "t.T/m");

  it("are read into literals and parameters", () => {
    assert.deepEqual(parse("GET /"), { method: "GET", path: "/", segments: [""], status: 200 });
    assert.deepEqual(parse("GET /cargos/{id}/legs/{leg_no}").segments, [
      "cargos",
      { name: "id" },
      "legs",
      { name: "leg_no" },
    ]);
    assert.deepEqual(parse("POST /cargos:search").segments, ["cargos:search"]);
    assert.equal(parse({ route: "POST /cargos", status: 202 }).status, 202);
  });

  it("that are wrong say what is wrong", () => {
    const cases: [RestOptions, RegExp][] = [
      ["", /must look like "GET \/cargos\/\{id\}"/],
      ["/cargos", /must look like/],
      ["get /cargos", /must look like/],
      ["GET cargos", /must look like/],
      ["GET  /cargos", /must look like/],
      ["GET /car gos", /must look like/],
      ["HEAD /cargos", /must look like/],
      ["GET /{}", /segment "\{\}" that is neither a literal nor \{name\}/],
      ["GET /{id", /segment "\{id"/],
      ["GET /x{id}", /segment "x\{id\}"/],
      ["GET /{id}.json", /segment/],
      ["GET /{a}/{a}", /names \{a\} twice/],
      ["GET /{__proto__}", /names a field "__proto__"/],
      ["GET /a?b=c", /segment "a\?b=c"/],
      ["GET /a#b", /segment/],
      ["GET /ä", /segment/],
      [{ route: "GET /a", status: 404 }, /status 404: a success is 200 to 299/],
      [{ route: "GET /a", status: 200.5 }, /status 200\.5/],
      [{ route: "GET /a", status: Number.NaN }, /status NaN/],
    ];
    for (const [rest, message] of cases) {
      assert.throws(
        () => parse(rest),
        (error: Error) =>
          error instanceof TypeError && error.message.startsWith("t.T/m: REST route ") && message.test(error.message),
        JSON.stringify(rest),
      );
    }
  });

  it("are parsed or refused with a TypeError, whatever is given (property)", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((s) => `GET /${s}`),
          fc.stringMatching(/^PUT (\/([a-z.]{0,3}|\{[a-z]{0,2}\}?)){1,4}$/),
        ),
        (route) => {
          try {
            const { segments, path } = parse(route);
            const joined = segments.map((part) => (typeof part === "string" ? part : `{${part.name}}`)).join("/");
            assert.equal(`/${joined}`, path);
          } catch (error) {
            assert.ok(error instanceof TypeError);
          }
        },
      ),
    );
  });
});
