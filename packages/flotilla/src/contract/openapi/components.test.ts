import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { Echo } from "../../../test/gen/test/v1/echo_pb.ts";
import { Kinds } from "../../../test/gen/test/v1/kinds_pb.ts";
import { compile, documentOf, info } from "../../../test/openapi.ts";
import { type Contract, contract } from "../contract.ts";
import { unary } from "../method.ts";
import { fromProtobuf } from "../protobuf/from-protobuf.ts";
import { openapi } from "./openapi.ts";

const sum = { input: z.object({ a: z.number(), b: z.number() }), output: z.object({ v: z.number() }) };
const component = (name: string) => ({ $ref: `#/components/schemas/${name}` });

describe("openapi: components", () => {
  it("definitions of one name and different content are kept apart, the same are shared", async () => {
    const { components } = await documentOf(
      fake("t.A", "Tree", { type: "string" }),
      fake("t.B", "Tree", { type: "number" }),
      fake("t.C", "Tree", { type: "string" }),
    );
    assert.deepEqual(components.schemas["Tree"], { type: "string" });
    assert.deepEqual(components.schemas["Tree_2"], { type: "number" });
    assert.equal("Tree_3" in components.schemas, false);
    assert.deepEqual(components.schemas["t.C.m.Request"]!["properties"], { leaf: component("Tree") });
    assert.deepEqual(components.schemas["t.B.m.Request"]!["properties"], { leaf: component("Tree_2") });
  });

  it("definitions that differ only in what they refer to are kept apart", async () => {
    const list = (leaf: string) => ({ List: { type: "array", items: { $ref: "#/$defs/Leaf" } }, Leaf: { type: leaf } });
    const { components } = await documentOf(
      withDefinitions("t.A", "List", list("string")),
      withDefinitions("t.B", "List", list("number")),
    );
    assert.deepEqual(components.schemas["List"]!["items"], component("Leaf"));
    assert.deepEqual(components.schemas["List_2"]!["items"], component("Leaf_2"));
  });

  it("a definition called like an error schema, or not fit for a component, gets a name that is", async () => {
    const { components } = await documentOf(
      fake("t.A", "Problem", { type: "string" }),
      fake("t.B", "a b/c~d", { type: "boolean" }),
    );
    assert.deepEqual(components.schemas["Problem_2"], { type: "string" });
    assert.deepEqual(components.schemas["a_b_c_d"], { type: "boolean" });
    assert.deepEqual(components.schemas["t.B.m.Request"]!["properties"], { leaf: component("a_b_c_d") });
  });

  it("what only looks like a reference stays as it is", () => {
    const X = {
      const: { $ref: "#/$defs/X" },
      default: { $ref: "#" },
      properties: { default: { $ref: "#/$defs/X" } },
    };
    const { components } = openapi([fake("t.A", "X", X)], info);
    assert.deepEqual(components.schemas["X"], {
      const: { $ref: "#/$defs/X" },
      default: { $ref: "#" },
      properties: { default: component("X") },
    });
  });

  it("recursive schemas refer to themselves", async () => {
    const Category = z.object({
      name: z.string(),
      get children() {
        return z.array(Category);
      },
    });
    const ark = type({ name: "string", "children?": "this[]" });
    const document = await documentOf(
      contract("t.T", {
        zod: unary({ input: Category, output: z.object({ tree: Category, again: Category }) }),
        ark: unary({ input: ark, output: ark }),
      }),
    );
    for (const name of ["t.T.zod.Request", "t.T.ark.Request"]) {
      const accepts = compile(document, component(name));
      assert.ok(accepts({ name: "a", children: [{ name: "b", children: [] }] }));
      assert.ok(!accepts({ name: "a", children: [{ name: 1, children: [] }] }), name);
    }
    assert.ok(
      Object.keys(document.components.schemas).every((name) => !/__schema|intersection\d/.test(name)),
      "no made-up names",
    );
  });

  it("valibot gives JSON Schema through toStandardJsonSchema", async () => {
    const input = toStandardJsonSchema(v.object({ a: v.number() }));
    const { components } = await documentOf(contract("t.T", { m: unary({ input, output: input }) }));
    assert.deepEqual(components.schemas["t.T.m.Request"]!["properties"], { a: { type: "number" } });
  });

  it("the same contracts give the same document, byte for byte", () => {
    const text = () =>
      JSON.stringify(openapi([fromProtobuf(Kinds), contract("t.T", { m: unary(sum) }), fromProtobuf(Echo)], info));
    assert.equal(text(), text());
  });

  it("title, version, description and servers are said", () => {
    const document = openapi([], { ...info, description: "About.", servers: [{ url: "https://api.example.test" }] });
    assert.deepEqual(document.info, { ...info, description: "About." });
    assert.deepEqual(document.servers, [{ url: "https://api.example.test" }]);
  });
});

describe("openapi: protobuf", () => {
  it("messages are components under their own names, shared by all that use them", async () => {
    const document = await documentOf(
      fromProtobuf(Echo),
      fromProtobuf(Kinds, {
        methods: {
          get: { rest: "GET /everything/{aString}" },
          find: { rest: "GET /trees/{id}" },
          put: { rest: "PUT /everything" },
        },
      }),
    );
    const names = Object.keys(document.components.schemas);
    assert.deepEqual(
      names.filter((name) => /_\d$/.test(name)),
      [],
      "no name is there twice",
    );
    assert.deepEqual(
      names.filter((name) => !name.startsWith("test.v1.")),
      ["ConnectError", "Problem", "google.protobuf.Empty"],
    );
    const { get, post } = document.paths["/test.v1.Echo/Say"]!;
    assert.ok(get !== undefined && "application/proto" in post!.requestBody!.content);
    assert.equal(document.paths["/test.v1.Kinds/Put"]!.get, undefined, "idempotent is not safe");
    assert.ok("application/connect+proto" in document.paths["/test.v1.Echo/Chat"]!.post!.requestBody!.content);
    assert.deepEqual(
      document.paths["/trees/{id}"]!.get!.parameters!.map(({ name }) => name),
      ["id", "pageSize", "tags", "deep", "since"],
    );
  });
});

/** A contract whose input schema has one definition of the given name. */
function fake(name: string, definition: string, schema: object): Contract {
  return withDefinitions(name, definition, { [definition]: schema });
}

function withDefinitions(name: string, definition: string, $defs: object): Contract {
  const $ref = `#/$defs/${definition.replaceAll("~", "~0").replaceAll("/", "~1")}`;
  const json = { type: "object", properties: { leaf: { $ref } }, $defs };
  const jsonSchema = { input: () => json, output: () => json };
  const input = {
    "~standard": { version: 1 as const, vendor: "test", validate: (value: unknown) => ({ value }), jsonSchema },
  };
  return contract(name, { m: unary({ input, output: input }) });
}
