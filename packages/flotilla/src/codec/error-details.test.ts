import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary, fromJson, type JsonObject, toBinary, toJson } from "@bufbuild/protobuf";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { badRequest, errorInfo } from "../errors/details.ts";
import { decodeDetail, encodeDetail, fromBinaryDetail, toBinaryDetail } from "./error-details.ts";

const everyType: Record<string, object> = {
  "google.rpc.BadRequest": {
    fieldViolations: [
      { field: "items[2].price", description: "expected a number" },
      { field: "", description: "", reason: "R", localizedMessage: { locale: "de", message: "Zahl erwartet" } },
    ],
  },
  "google.rpc.DebugInfo": { stackEntries: ["a", ""], detail: "d" },
  "google.rpc.ErrorInfo": { reason: "OUT_OF_STOCK", domain: "shop.example", metadata: { sku: "7", "": "" } },
  "google.rpc.Help": { links: [{ description: "docs", url: "https://example.test" }] },
  "google.rpc.LocalizedMessage": { locale: "fr-CH", message: "Été" },
  "google.rpc.PreconditionFailure": { violations: [{ type: "TOS", subject: "s", description: "d" }] },
  "google.rpc.QuotaFailure": {
    violations: [
      {
        subject: "s",
        description: "d",
        apiService: "a",
        quotaMetric: "m",
        quotaId: "q",
        quotaDimensions: { region: "x" },
        quotaValue: "9",
        futureQuotaValue: "-1",
      },
    ],
  },
  "google.rpc.RequestInfo": { requestId: "r", servingData: "x" },
  "google.rpc.ResourceInfo": { resourceType: "t", resourceName: "n", owner: "o", description: "d" },
  "google.rpc.RetryInfo": { retryDelay: "1.500s" },
};

describe("error details of google.rpc", () => {
  for (const [type, value] of Object.entries(everyType)) {
    it(`${type} comes back as it was`, () => {
      const wire = encodeDetail({ type, value });
      assert.equal(wire.type, type);
      assert.deepEqual(wire.debug, value);
      assert.ok(!wire.value.includes("="));
      assert.deepEqual(decodeDetail(wire), { type, value });
    });
  }

  it("has the bytes that protobuf gives", () => {
    // protoc --encode=google.rpc.ErrorInfo; --encode=google.rpc.RetryInfo
    assert.equal(
      encodeDetail(errorInfo({ reason: "NO", domain: "d" })).value,
      Buffer.from("0a024e4f120164", "hex").toString("base64").replace(/=+$/, ""),
    );
    assert.equal(
      Buffer.from(toBinaryDetail({ type: "google.rpc.RetryInfo", value: { retryDelay: "1.5s" } }).bytes).toString(
        "hex",
      ),
      "0a0808011080cab5ee01",
    );
  });

  it("writes durations canonically and refuses those out of range", () => {
    const roundTrip = (retryDelay: string) =>
      decodeDetail(encodeDetail({ type: "google.rpc.RetryInfo", value: { retryDelay } })).value;
    assert.deepEqual(roundTrip("0s"), { retryDelay: "0s" });
    assert.deepEqual(roundTrip("-0.5s"), { retryDelay: "-0.500s" });
    assert.deepEqual(roundTrip("3.000000001s"), { retryDelay: "3.000000001s" });
    assert.deepEqual(roundTrip("0.30000000000000004s"), { retryDelay: "0.300s" });
    assert.deepEqual(roundTrip("100s"), { retryDelay: "100s" });
    for (const bad of ["", "1", "999999999999s", "1e3s", "s"]) assert.deepEqual(roundTrip(bad), {}, bad);
  });

  it("leaves out what does not fit, and lists are always lists", () => {
    const bad = { fieldViolations: [null, 7, { field: 1, description: "ok" }], other: 1n };
    assert.deepEqual(decodeDetail(encodeDetail({ type: "google.rpc.BadRequest", value: bad })).value, {
      fieldViolations: [
        { field: "", description: "" },
        { field: "", description: "" },
        { field: "", description: "ok" },
      ],
    });
    assert.deepEqual(decodeDetail({ type: "google.rpc.BadRequest", value: "" }).value, { fieldViolations: [] });
    assert.deepEqual(decodeDetail(encodeDetail({ type: "google.rpc.BadRequest", value: undefined })).value, {
      fieldViolations: [],
    });
  });
});

describe("error details of other types", () => {
  it("travel as a Struct that names the type, which foreign peers can read", () => {
    const detail = { type: "shop.OutOfStock", value: { sku: "7", left: 0, near: ["x", null, true, { a: -1.5 }] } };
    const wire = encodeDetail(detail);
    assert.equal(wire.type, "google.protobuf.Struct");
    const foreign = toJson(StructSchema, fromBinary(StructSchema, Buffer.from(wire.value, "base64")));
    assert.deepEqual(foreign, { "@type": "shop.OutOfStock", ...detail.value });
    assert.deepEqual(decodeDetail(wire), detail);
  });

  it("may have a value that is no object", () => {
    for (const value of ["text", 7, null, [1, [2]], true, { "@value": 1, other: 2 }]) {
      assert.deepEqual(decodeDetail(encodeDetail({ type: "t", value })), { type: "t", value });
    }
    assert.deepEqual(decodeDetail(encodeDetail({ type: "t", value: undefined })), { type: "t", value: {} });
  });

  it("keep a foreign Struct as a Struct", () => {
    const bytes = toBinary(StructSchema, fromJson(StructSchema, { a: { b: [1] } }));
    const detail = fromBinaryDetail("type.googleapis.com/google.protobuf.Struct", bytes);
    assert.deepEqual(detail, { type: "google.protobuf.Struct", value: { a: { b: [1] } } });
    assert.deepEqual(Buffer.from(toBinaryDetail(detail).bytes), Buffer.from(bytes));
  });

  it("any JSON object comes back as it was (property)", () => {
    const object = fc.dictionary(
      fc.string().filter((key) => !["__proto__", "@type", "@value"].includes(key)),
      fc.jsonValue({ maxDepth: 5 }),
    );
    fc.assert(
      fc.property(object, (json) => {
        const value = JSON.parse(JSON.stringify(json)) as JsonObject;
        fc.pre(!JSON.stringify(value).includes('"__proto__"'));
        assert.deepEqual(decodeDetail(encodeDetail({ type: "t.T", value })), { type: "t.T", value });
        const struct = fromBinary(StructSchema, Buffer.from(encodeDetail({ type: "t.T", value }).value, "base64"));
        assert.deepEqual(toJson(StructSchema, struct), { ...value, "@type": "t.T" });
      }),
    );
  });

  it("encoding never fails: cycles, depth, BigInt, functions", () => {
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    let deep: unknown = 1;
    for (let i = 0; i < 10_000; i++) deep = [deep];
    for (const value of [cycle, { deep }, { n: 1n, f: () => 1, nan: Number.NaN }, new Date(0), Symbol("s"), () => 1]) {
      assert.equal(decodeDetail(JSON.parse(JSON.stringify(encodeDetail({ type: "t.T", value })))).type, "t.T");
    }
    assert.deepEqual(decodeDetail(encodeDetail({ type: "t", value: { n: 1n } })).value, { n: "1" });
  });

  it("a detail with bytes of its own is sent as it is, and one of an unknown type is kept", () => {
    const binary = Buffer.from("08011203616263", "hex");
    const wire = encodeDetail({ type: "shop.v1.Thing", value: { a: 1 }, binary });
    assert.deepEqual(wire, { type: "shop.v1.Thing", value: "CAESA2FiYw", debug: { a: 1 } });
    assert.deepEqual(decodeDetail(wire), { type: "shop.v1.Thing", value: { a: 1 }, binary });
    assert.deepEqual(encodeDetail(decodeDetail(wire)), wire);
  });
});

describe("hostile error details", () => {
  it("what cannot be read is kept as it came", () => {
    const bytes = Buffer.from("ff", "hex");
    assert.deepEqual(decodeDetail({ type: "google.rpc.BadRequest", value: "/w", debug: 1 }), {
      type: "google.rpc.BadRequest",
      value: 1,
      binary: bytes,
    });
    assert.deepEqual(decodeDetail({ type: "google.protobuf.Struct", value: "/w" }), {
      type: "google.protobuf.Struct",
      value: undefined,
      binary: bytes,
    });
    assert.deepEqual(decodeDetail({ type: "x", value: "not base64!", debug: 1 }), { type: "x", value: 1 });
    for (const odd of [null, undefined, 7, "x", [], {}, { type: 1, value: 2 }])
      assert.equal(typeof decodeDetail(odd).type, "string");
  });

  it("refuses to set a prototype", () => {
    const evil = fromJson(StructSchema, JSON.parse('{"__proto__": {"polluted": true}}') as JsonObject);
    const detail = fromBinaryDetail("google.protobuf.Struct", toBinary(StructSchema, evil));
    assert.equal(detail.value, undefined);
    assert.ok(detail.binary !== undefined);
    const map = Buffer.from("1a0e0a095f5f70726f746f5f5f120178", "hex");
    assert.equal(fromBinaryDetail("google.rpc.ErrorInfo", map).value, undefined);
  });

  it("stops at a bound of depth", () => {
    let bytes: Uint8Array = toBinary(StructSchema, create(StructSchema));
    for (let i = 0; i < 200; i++) {
      const value = frame(5, bytes);
      bytes = frame(1, Buffer.concat([frame(1, Buffer.from("k")), frame(2, value)]));
    }
    assert.ok(fromBinaryDetail("google.protobuf.Struct", bytes).binary !== undefined);
  });

  it("no bytes make it throw (property)", () => {
    const types = [...Object.keys(everyType), "google.protobuf.Struct", "other.Type"];
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.uint8Array({ maxLength: 40 }), (type, bytes) => {
        const detail = fromBinaryDetail(type, bytes);
        assert.equal(typeof detail.type, "string");
        encodeDetail(detail);
      }),
      { numRuns: 2_000 },
    );
    fc.assert(fc.property(fc.anything(), (wire) => void decodeDetail(wire)));
    fc.assert(
      fc.property(fc.string(), fc.anything(), (type, value) => void JSON.stringify(encodeDetail({ type, value }))),
    );
  });

  it("badRequest of the ground floor goes as google.rpc.BadRequest", () => {
    const detail = badRequest([{ field: "a", description: "required" }]);
    assert.deepEqual(decodeDetail(encodeDetail(detail)), detail);
  });
});

function frame(field: number, bytes: Uint8Array): Buffer {
  const length: number[] = [];
  let left = bytes.length;
  for (; left > 127; left >>>= 7) length.push((left & 127) | 128);
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...length, left]), bytes]);
}
