import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { z } from "zod";
import { Kinds } from "../../../test/gen/test/v1/kinds_pb.ts";
import { compile, documentOf } from "../../../test/openapi.ts";
import { background } from "../../context/with.ts";
import type { Listening } from "../../endpoint/transport.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { implement } from "../../service/implement.ts";
import { http } from "../../transport/http/server.ts";
import { contract } from "../contract.ts";
import { unary } from "../method.ts";
import { fromProtobuf } from "../protobuf/from-protobuf.ts";
import type { OpenApiDocument } from "./document.ts";

const thing = z.object({
  id: z.string(),
  page: z.int().optional(),
  tags: z.array(z.string()).optional(),
  sizes: z.array(z.number()).optional(),
  exact: z.boolean(),
});
const Things = contract("t.v1.Things", {
  find: unary({ input: thing, output: thing, rest: "GET /things/{id}" }),
  replace: unary({ input: thing, output: thing, rest: "PUT /things/{id}" }),
  create: unary({ input: thing, output: thing, rest: { route: "POST /things", status: 201 } }),
  rename: unary({
    input: z.object({ id: z.string(), name: z.string() }),
    output: z.object({ name: z.string() }),
    rest: "PATCH /things/{id}/name/{name}",
  }),
  remove: unary({ input: z.object({ id: z.string() }), output: z.void(), rest: "DELETE /things/{id}" }),
  fail: unary({ input: z.object({}), output: z.void(), rest: "GET /fail" }),
});
const Trees = fromProtobuf(Kinds, {
  methods: {
    find: { rest: "GET /trees/{id}" },
    delete: { rest: "DELETE /trees/{id}" },
    put: { rest: "PUT /everything" },
  },
});

const services = [
  implement(Things, {
    find: (_ctx, request) => request,
    replace: (_ctx, request) => request,
    create: (_ctx, request) => request,
    rename: (_ctx, { name }) => ({ name }),
    remove: () => {},
    fail: () => {
      throw new ServiceError("not_found", "no such thing");
    },
  }),
  implement(Trees, {
    get: (_ctx, request) => request,
    put: () => ({}),
    find: (_ctx, { id, pageSize, tags, deep, since }) => ({
      label: [id, pageSize, tags.join("+"), deep, since].join(" "),
    }),
    delete: () => ({}),
  }),
];

/** Operation, the fields of its request, and what it answers. */
const calls: [operationId: string, request: Record<string, unknown>, status: number, response: unknown][] = [
  [
    "t.v1.Things.find-rest",
    { id: "a/b c", page: 2, tags: ["x", "y&z"], sizes: [1.5], exact: true },
    200,
    { id: "a/b c", page: 2, tags: ["x", "y&z"], sizes: [1.5], exact: true },
  ],
  ["t.v1.Things.find-rest", { id: "ä", tags: ["only"], exact: false }, 200, { id: "ä", tags: ["only"], exact: false }],
  ["t.v1.Things.replace-rest", { id: "7", page: 1, exact: true }, 200, { id: "7", page: 1, exact: true }],
  ["t.v1.Things.create-rest", { id: "7", exact: true }, 201, { id: "7", exact: true }],
  ["t.v1.Things.rename-rest", { id: "7", name: "new" }, 200, { name: "new" }],
  ["t.v1.Things.remove-rest", { id: "7" }, 204, undefined],
  [
    "t.v1.Things.fail-rest",
    {},
    404,
    { type: "about:blank", title: "Not Found", status: 404, detail: "no such thing", code: "not_found" },
  ],
  ["t.v1.Things.find", { id: "7", exact: true }, 200, { id: "7", exact: true }],
  ["t.v1.Things.find-get", { id: "7", exact: true }, 200, { id: "7", exact: true }],
  ["t.v1.Things.remove", { id: "7" }, 200, {}],
  ["t.v1.Things.fail", {}, 404, { code: "not_found", message: "no such thing" }],
  [
    "test.v1.Kinds.find-rest",
    { id: "oak", pageSize: 5, tags: ["a", "b"], deep: true, since: "9007199254740993" },
    200,
    { label: "oak 5 a+b true 9007199254740993" },
  ],
  ["test.v1.Kinds.delete-rest", { id: "oak" }, 200, {}],
  ["test.v1.Kinds.put-rest", { colour: "COLOUR_RED", aDouble: 0.5 }, 200, {}],
  ["test.v1.Kinds.get", { colour: "COLOUR_RED" }, 200, { colour: "COLOUR_RED" }],
  ["test.v1.Kinds.get-get", { anInt64: "1" }, 200, { anInt64: "1" }],
];

describe("what OpenAPI says of a contract is what the HTTP server does", () => {
  let server: Listening;
  let document: OpenApiDocument;
  before(async () => {
    document = await documentOf(Things, Trees);
    server = await http().listen(services, background());
  });
  after(() => server.close());

  for (const [operationId, request, status, response] of calls) {
    it(`${operationId} ${JSON.stringify(request)}`, async () => {
      const [path, verb, operation] = Object.entries(document.paths)
        .flatMap(([name, verbs]) => Object.entries(verbs).map(([method, found]) => [name, method, found] as const))
        .find(([, , found]) => found.operationId === operationId)!;

      const left = { ...request };
      let target = path;
      const query = new URLSearchParams();
      for (const { in: place, name, required, content, schema } of operation.parameters ?? []) {
        if (content !== undefined) query.set(name, JSON.stringify(request));
        else if (place === "path") target = target.replace(`{${name}}`, encodeURIComponent(String(request[name])));
        else if (place === "query" && name in request)
          for (const one of [request[name]].flat()) query.append(name, String(one));
        else if (place === "query" && required === true) query.set(name, String((schema!["enum"] as unknown[])[0]));
        if (place === "path" || place === "query") delete left[name];
      }
      const body = operation.requestBody?.content["application/json"];
      if (body !== undefined) assert.ok(compile(document, body.schema!)(left), "the body is as described");
      else if (query.get("message") === null) assert.deepEqual(left, {}, "every field has its place");

      const answer = await fetch(`${server.address}${target}?${query.toString()}`, {
        method: verb.toUpperCase(),
        ...(body !== undefined && { body: JSON.stringify(left), headers: { "content-type": "application/json" } }),
      });
      assert.equal(answer.status, status);
      const text = await answer.text();
      assert.deepEqual(text === "" ? undefined : JSON.parse(text), response);

      const described = operation.responses[String(status)] ?? operation.responses["default"]!;
      const { content, headers } =
        "$ref" in described ? document.components.responses[described.$ref.split("/").at(-1)!]! : described;
      if (headers !== undefined) assert.ok(answer.headers.get("etag"));
      const media = content?.[answer.headers.get("content-type")!];
      if (text === "") assert.equal(content, undefined);
      else assert.ok(compile(document, media!.schema!)(JSON.parse(text)), "the response is as described");
    });
  }
});
