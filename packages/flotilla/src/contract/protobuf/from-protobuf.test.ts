import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, createFileRegistry, createRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack, EmptySchema, FileDescriptorSetSchema, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  Echo,
  file_test_v1_echo,
  SayRequestSchema,
  type SayResponse,
  SayResponseSchema,
  SumRequestSchema,
} from "../../../test/gen/test/v1/echo_pb.ts";
import { Colour, EverythingSchema, Kinds, TreeSchema } from "../../../test/gen/test/v1/kinds_pb.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Code } from "../../errors/code.ts";
import { type BadRequest, detailTypes, findDetail } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { fromProtobuf } from "./from-protobuf.ts";

const EchoContract = fromProtobuf(Echo);
const [say] = EchoContract.methods as [MethodInfo];
const failsWith = (code: Code, message: RegExp) => (error: unknown) =>
  error instanceof ServiceError && error.code === code && message.test(error.message);

describe("the contract of a protobuf service", () => {
  it("has each rpc under its local name, with its own name on the wire", () => {
    assert.equal(EchoContract.name, "test.v1.Echo");
    assert.deepEqual(
      EchoContract.methods.map(({ key, procedure, kind }) => [key, procedure, kind]),
      [
        ["say", "test.v1.Echo/Say", "unary"],
        ["count", "test.v1.Echo/Count", "server_stream"],
        ["sum", "test.v1.Echo/Sum", "client_stream"],
        ["chat", "test.v1.Echo/Chat", "bidi_stream"],
      ],
    );
    assert.equal(say.input.typeName, "test.v1.SayRequest");
    assert.equal(say.output.typeName, "test.v1.SayResponse");
  });

  it("takes idempotency from idempotency_level, GET only where nothing changes", () => {
    const facts = (contract: { methods: readonly MethodInfo[] }) =>
      Object.fromEntries(contract.methods.map(({ key, idempotent, safe }) => [key, `${idempotent} ${safe}`]));
    assert.deepEqual(facts(fromProtobuf(Kinds)), {
      get: "true true",
      put: "true false",
      find: "false false",
      delete: "false false",
    });
    const methods = {
      get: { idempotent: false },
      put: { rest: "PUT /things" },
      find: { rest: "GET /things/{id}" },
      delete: { rest: "DELETE /things/{id}" },
    };
    assert.deepEqual(facts(fromProtobuf(Kinds, { methods })), {
      get: "false false",
      put: "true false",
      find: "true true",
      delete: "true false",
    });
    assert.deepEqual(facts(fromProtobuf(Kinds, { methods: { find: { idempotent: true }, put: { safe: true } } })), {
      get: "true true",
      put: "true true",
      find: "true false",
      delete: "false false",
    });
  });

  it("takes options by method", () => {
    const failed = ({ serial }: SayResponse) => (serial > 1n ? "high" : undefined);
    const contract = fromProtobuf(Echo, {
      doc: "Echoes.",
      methods: { say: { timeoutMs: 250, doc: "Says.", rest: { route: "POST /say", status: 201 }, failed } },
    });
    const [info] = contract.methods as [MethodInfo];
    assert.equal(contract.doc, "Echoes.");
    assert.equal(info.timeoutMs, 250);
    assert.equal(info.doc, "Says.");
    assert.equal(info.rest?.status, 201);
    assert.equal(info.failed?.(create(SayResponseSchema, { serial: 2n })), "high");
    assert.equal(info.failed?.({}), undefined, "what a handler answers with need not be a message yet");
    assert.equal(contract.methods[1]!.failed, undefined);
  });

  it("refuses options of a method that is not there", () => {
    const methods = { shout: {} } as object;
    assert.throws(
      () => fromProtobuf(Echo, { methods }),
      /fromProtobuf: test\.v1\.Echo has no method "shout": it has say, count, sum, chat/,
    );
  });

  it("comes from a descriptor that was read at run time as well", () => {
    const set = create(FileDescriptorSetSchema, {
      file: [...file_test_v1_echo.dependencies.map(({ proto }) => proto), file_test_v1_echo.proto],
    });
    const service = createFileRegistry(
      fromBinary(FileDescriptorSetSchema, toBinary(FileDescriptorSetSchema, set)),
    ).getService("test.v1.Echo")!;
    const contract = fromProtobuf(service, { methods: { say: { timeoutMs: 1 } } });
    assert.deepEqual(
      contract.methods.map(({ procedure }) => procedure),
      EchoContract.methods.map(({ procedure }) => procedure),
    );
    assert.equal(contract.methods[0]!.output.toJson({ sentence: "hi", serial: 1n }), '{"sentence":"hi","serial":"1"}');
  });
});

describe("protobuf messages", () => {
  it("in canonical JSON", () => {
    const sentAt = timestampFromDate(new Date(Date.UTC(2024, 0, 2)));
    const message = create(SayResponseSchema, {
      sentence: "hi",
      serial: 2n ** 60n,
      digest: new Uint8Array([1, 2]),
      sentAt,
    });
    const text = '{"sentence":"hi","serial":"1152921504606846976","digest":"AQI=","sentAt":"2024-01-02T00:00:00Z"}';
    assert.equal(say.output.toJson(message), text);
    assert.deepEqual(say.output.fromJson(text), message);
    assert.deepEqual(say.output.fromJsonValue(JSON.parse(text)), message);
    assert.equal(say.output.toJson({}), "{}");
    assert.deepEqual(JSON.parse(fromProtobuf(Echo, { emitDefaults: true }).methods[0]!.output.toJson({})), {
      sentence: "",
      serial: "0",
      digest: "",
    });
  });

  it("in binary", () => {
    const message = create(SayRequestSchema, { sentence: "hi", times: 3 });
    const bytes = say.input.binary!.encode(message);
    assert.equal(Buffer.from(bytes).toString("hex"), "0a0268691003");
    assert.deepEqual(say.input.binary!.decode(bytes), message);
    assert.deepEqual(say.input.binary!.encode({ sentence: "hi", times: 3 }), bytes);
    const everything = fromProtobuf(Kinds).methods[0]!.input.binary!;
    const decoded = everything.decode(Buffer.from(everything.encode({ aBytes: new Uint8Array([1]) }))) as {
      aBytes: Uint8Array;
    };
    assert.equal(Buffer.isBuffer(decoded.aBytes), false);
  });

  it("may be given as what initialises them", () => {
    assert.equal(say.input.toJson({ sentence: "hi" }), '{"sentence":"hi"}');
    assert.deepEqual(say.input.validate({ sentence: "hi" }), { value: create(SayRequestSchema, { sentence: "hi" }) });
    const message = create(SayRequestSchema);
    assert.equal((say.input.validate(message) as { value: unknown }).value, message, "a message is not copied");
  });

  it("of another type, or none at all, are refused", () => {
    for (const [value, got] of [
      [create(SumRequestSchema), "test.v1.SumRequest"],
      [null, "null"],
      [undefined, "undefined"],
      ["x", "string"],
    ]) {
      assert.deepEqual(say.input.validate(value), {
        violations: [{ field: "", description: `expected test.v1.SayRequest, got ${got as string}` }],
      });
      assert.throws(
        () => say.input.toJson(value),
        failsWith("internal", /cannot write a message of type test\.v1\.SayRequest/),
      );
      assert.throws(() => say.input.binary!.encode(value), failsWith("internal", /test\.v1\.SayRequest/));
    }
    assert.throws(() => say.input.toJson({ times: "three" }), failsWith("internal", /test\.v1\.SayRequest/));
  });

  it("that cannot be read say which field was wrong", () => {
    assert.throws(
      () => say.input.fromJson('{"times":"x"}'),
      (error: ServiceError) => {
        assert.equal(error.code, "invalid_argument");
        const [violation] = findDetail<BadRequest>(error, detailTypes.badRequest)!.fieldViolations;
        assert.equal(violation!.field, "times");
        assert.match(violation!.description, /times/);
        return true;
      },
    );
    for (const text of ["[]", "1", "null", "{", '{"sentAt":"yesterday"}', '{"times":1.5}', '{"times":99999999999}']) {
      assert.throws(() => say.input.fromJson(text), failsWith("invalid_argument", /./), text);
    }
    for (const hex of ["0a", "ff", "0a05aa", "08ffffffffffffffffffffff"]) {
      assert.throws(() => say.input.binary!.decode(Buffer.from(hex, "hex")), failsWith("invalid_argument", /./), hex);
    }
  });

  it("ignore JSON fields that are not known, but never a prototype", () => {
    assert.deepEqual(
      say.input.fromJson('{"sentence":"hi","new":{"a":1}}'),
      create(SayRequestSchema, { sentence: "hi" }),
    );
    assert.throws(() => say.input.fromJson('{"__proto__":{}}'), failsWith("invalid_argument", /__proto__/));
  });

  it("do not overflow the stack by their depth", () => {
    const { input } = fromProtobuf(Kinds).methods[0]!;
    const depth = 50_000;
    const json = `{"tree":${'{"children":['.repeat(depth)}${"]}".repeat(depth)}}`;
    assert.throws(() => input.fromJson(json), failsWith("invalid_argument", /./));
    let tree = create(TreeSchema);
    for (let i = 0; i < 90; i++) tree = create(TreeSchema, { children: [tree] });
    assert.equal(input.binary!.encode({ tree }).length > 90, true);
  });

  it("in an Any are found among the files of the service", () => {
    const everything = fromProtobuf(Kinds).methods[0]!.input;
    const any = anyPack(TreeSchema, create(TreeSchema, { label: "oak" }));
    const text = '{"any":{"label":"oak","@type":"type.googleapis.com/test.v1.Tree"}}';
    assert.equal(everything.toJson({ any }), text);
    assert.deepEqual(everything.fromJson(text), create(EverythingSchema, { any }));
    assert.throws(
      () => everything.fromJson('{"any":{"@type":"type.googleapis.com/other.Type"}}'),
      failsWith("invalid_argument", /other\.Type/),
    );
    const echo = anyPack(SayRequestSchema, create(SayRequestSchema, { sentence: "hi" }));
    assert.throws(() => everything.toJson({ any: echo }), failsWith("internal", /./));
    const { input } = fromProtobuf(Kinds, { registry: createRegistry(file_test_v1_echo) }).methods[0]!;
    assert.match(input.toJson({ any: echo }), /"sentence":"hi"/);
  });

  it("that are empty are empty objects", () => {
    const put = fromProtobuf(Kinds).methods[1]!;
    assert.equal(put.output.toJson(create(EmptySchema)), "{}");
    assert.equal(put.output.toJson({}), "{}");
    assert.equal(put.input.toJson({ colour: Colour.RED }), '{"colour":"COLOUR_RED"}');
  });
});
