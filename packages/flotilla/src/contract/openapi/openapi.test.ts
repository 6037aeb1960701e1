import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as v from "valibot";
import { z } from "zod";
import { documentOf, info } from "../../../test/openapi.ts";
import { contract } from "../contract.ts";
import { bidiStream, clientStream, serverStream, unary } from "../method.ts";
import { openapi } from "./openapi.ts";

const sum = { input: z.object({ a: z.number(), b: z.number() }), output: z.object({ v: z.number() }) };
const component = (name: string) => ({ $ref: `#/components/schemas/${name}` });

describe("openapi: Connect paths", () => {
  it("a unary method is a POST, and a GET besides when it is safe", async () => {
    const document = await documentOf(
      contract(
        "calc.v1.Calculator",
        { sum: unary({ ...sum, safe: true, doc: "Adds." }), store: unary(sum) },
        { doc: "Calculates." },
      ),
    );
    assert.deepEqual(document.tags, [{ name: "calc.v1.Calculator", description: "Calculates." }]);
    assert.deepEqual(Object.keys(document.paths), ["/calc.v1.Calculator/sum", "/calc.v1.Calculator/store"]);
    const { get, post } = document.paths["/calc.v1.Calculator/sum"]!;
    assert.equal(document.paths["/calc.v1.Calculator/store"]!.get, undefined);
    assert.equal(post!.operationId, "calc.v1.Calculator.sum");
    assert.equal(post!.description, "Adds.");
    assert.deepEqual(post!.requestBody, {
      required: true,
      content: { "application/json": { schema: component("calc.v1.Calculator.sum.Request") } },
    });
    assert.deepEqual(post!.responses["200"], {
      description: "The call succeeded.",
      content: { "application/json": { schema: component("calc.v1.Calculator.sum.Response") } },
    });
    assert.deepEqual(post!.responses["default"], { $ref: "#/components/responses/ConnectError" });
    assert.deepEqual(
      get!.parameters!.map(({ name }) => name),
      ["connect", "encoding", "message", "base64", "compression", "Connect-Timeout-Ms"],
    );
    assert.deepEqual(document.components.schemas["calc.v1.Calculator.sum.Request"], {
      type: "object",
      properties: { a: { type: "number" }, b: { type: "number" } },
      required: ["a", "b"],
    });
  });

  it("streams are listed with their content types", async () => {
    const streams = contract("t.v1.S", {
      down: serverStream(sum),
      up: clientStream(sum),
      both: bidiStream({ ...sum, doc: "Talks." }),
    });
    const { paths } = await documentOf(streams);
    const { post } = paths["/t.v1.S/both"]!;
    assert.deepEqual(post!.requestBody!.content, {
      "application/connect+json": { "x-message": component("t.v1.S.both.Request") },
    });
    assert.match(post!.description!, /^Talks\.\n\nThis method has streams both ways: .* It needs HTTP\/2\.$/);
    assert.match(paths["/t.v1.S/up"]!.post!.description!, /a stream of requests/);
    assert.match(paths["/t.v1.S/down"]!.post!.description!, /a stream of responses/);
  });

  it("what a response may lack before the validator's defaults, it may lack on the wire", async () => {
    const output = z.object({ a: z.number().default(1), b: z.string().transform((text) => text.length) });
    const { components } = await documentOf(contract("t.T", { m: unary({ input: z.object({}), output }) }));
    assert.deepEqual(components.schemas["t.T.m.Response"]!["required"], ["b"]);
    assert.deepEqual(components.schemas["t.T.m.Response"]!["properties"], {
      a: { type: "number", default: 1 },
      b: { type: "string" },
    });
  });
});

describe("openapi: REST routes", () => {
  const rest = async (options: Parameters<typeof unary>[0]) => {
    const document = await documentOf(contract("t.T", { m: unary(options) }));
    const path = Object.entries(document.paths).find(([name]) => name !== "/t.T/m")![1];
    return Object.values(path)[0]!;
  };
  const search = z.object({
    id: z.string(),
    page: z.int().optional(),
    tags: z.array(z.string()).optional(),
    exact: z.boolean(),
    near: z.object({ x: z.number() }).optional(),
  });

  it("GET: fields are in the path and in the query", async () => {
    const operation = await rest({ input: search, output: sum.output, rest: "GET /things/{id}", doc: "Finds." });
    assert.equal(operation.operationId, "t.T.m-rest");
    assert.deepEqual(
      operation.parameters!.map((parameter) => [
        parameter.in,
        parameter.name,
        parameter.required ?? false,
        parameter.schema!["type"],
      ]),
      [
        ["path", "id", true, "string"],
        ["query", "page", false, "integer"],
        ["query", "tags", false, "array"],
        ["query", "exact", true, "boolean"],
      ],
    );
    assert.equal(operation.requestBody, undefined);
    assert.equal(operation.description, "Finds.\n\nNot to be sent by this route, for a query holds no objects: near.");
    assert.deepEqual(Object.keys(operation.responses), ["200", "304", "default"]);
    assert.deepEqual(operation.responses["default"], { $ref: "#/components/responses/Problem" });
  });

  it("POST: fields are in the path and in the body", async () => {
    const operation = await rest({
      input: search,
      output: sum.output,
      rest: { route: "POST /things/{id}", status: 201 },
    });
    assert.deepEqual(
      operation.parameters!.map(({ name }) => name),
      ["id"],
    );
    const { schema } = operation.requestBody!.content["application/json"]!;
    assert.deepEqual(Object.keys(schema!["properties"] as object), ["page", "tags", "exact", "near"]);
    assert.deepEqual(schema!["required"], ["exact"]);
    assert.equal(operation.requestBody!.required, true);
    assert.deepEqual(Object.keys(operation.responses), ["201", "default"]);
  });

  it("a body without a field left is none, a body that is the whole message refers to it", async () => {
    const only = await rest({
      input: z.object({ id: z.string() }),
      output: sum.output,
      rest: "POST /things/{id}/start",
    });
    assert.equal(only.requestBody, undefined);
    const whole = await rest({ ...sum, rest: "PUT /sums" });
    assert.deepEqual(whole.requestBody!.content["application/json"]!.schema, component("t.T.m.Request"));
    assert.equal(whole.parameters, undefined);
  });

  it("nothing to say is 204", async () => {
    const codes = async (output: z.ZodType | v.GenericSchema) =>
      Object.keys((await rest({ input: z.object({}), output, rest: "DELETE /m" })).responses);
    assert.deepEqual(await codes(z.void()), ["204", "default"]);
    assert.deepEqual(await codes(z.null()), ["204", "default"]);
    assert.deepEqual(await codes(v.void()), ["204", "default"]);
    assert.deepEqual(await codes(z.object({}).optional()), ["200", "204", "default"]);
    assert.deepEqual(await codes(z.date().optional()), ["200", "204", "default"]);
    assert.deepEqual(await codes(z.object({})), ["200", "default"]);
    assert.deepEqual(await codes(z.object({}).refine(async () => true)), ["200", "default"]);
  });

  it("a status of 204 has no content", async () => {
    const operation = await rest({ ...sum, rest: { route: "POST /m", status: 204 } });
    assert.equal("content" in operation.responses["204"]!, false);
  });

  it("unions: what any form has, and what every form requires", async () => {
    const a = z.object({ kind: z.literal("a"), id: z.string(), n: z.number() });
    const b = z.object({ kind: z.literal("b"), id: z.string(), t: z.string() }).meta({ id: "FormB" });
    const operation = await rest({
      input: z.discriminatedUnion("kind", [a, b]),
      output: sum.output,
      rest: "GET /m/{id}",
    });
    assert.deepEqual(
      operation.parameters!.map(({ name, required }) => [name, required ?? false]),
      [
        ["id", true],
        ["kind", true],
        ["n", false],
        ["t", false],
      ],
    );
    assert.equal((operation.parameters![1]!.schema!["anyOf"] as unknown[]).length, 2);
    const body = await rest({ input: z.discriminatedUnion("kind", [a, b]), output: sum.output, rest: "PUT /m/{id}" });
    assert.deepEqual(body.requestBody!.content["application/json"]!.schema, component("t.T.m.Request"));
  });

  it("a validator without JSON Schema: path parameters are text, the rest is said", async () => {
    const plain = v.object({ id: v.string(), page: v.optional(v.string()) });
    const operation = await rest({ input: plain, output: plain, rest: "GET /m/{id}" });
    assert.deepEqual(operation.parameters, [{ name: "id", in: "path", required: true, schema: { type: "string" } }]);
    assert.equal(operation.description, "The other fields of the request are query parameters.");
    const put = await rest({ input: plain, output: plain, rest: "PUT /m/{id}" });
    assert.match(String(put.requestBody!.content["application/json"]!.schema!["description"]), /gives no JSON Schema/);
  });

  it("one path under two names of its parameter is one path", async () => {
    const input = z.object({ id: z.string(), name: z.string() });
    const { paths } = await documentOf(
      contract("t.T", {
        read: unary({ input, output: sum.output, rest: "GET /m/{id}" }),
        write: unary({ input, output: sum.output, rest: "PUT /m/{name}" }),
      }),
    );
    const { get, put } = paths["/m/{id}"]!;
    assert.equal(get!.parameters![0]!.name, "id");
    assert.deepEqual(
      put!.parameters!.map((parameter) => [parameter.in, parameter.name]),
      [["path", "id"]],
    );
    assert.deepEqual(Object.keys(put!.requestBody!.content["application/json"]!.schema!["properties"] as object), [
      "id",
    ]);
  });

  it("two contracts with one route, or of one name, are refused", () => {
    const one = contract("t.A", { m: unary({ ...sum, rest: "POST /m" }) });
    const two = contract("t.B", { m: unary({ ...sum, rest: "POST /m" }) });
    assert.throws(() => openapi([one, two], info), /openapi: t\.B\/m is served at POST \/m, and so is t\.A\.m-rest/);
    assert.throws(() => openapi([one, contract("t.A", {})], info), /openapi: two contracts are called t\.A/);
    assert.throws(() => openapi([one, one], info), /openapi: two contracts are called t\.A/);
  });
});
