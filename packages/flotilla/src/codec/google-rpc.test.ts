import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type DescMessage, fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import { file_google_rpc_error_details } from "../../test/gen/google/rpc/error_details_pb.ts";
import { decodeGoogleRpc, encodeGoogleRpc, isGoogleRpc } from "./google-rpc.ts";

const text = fc.string({ unit: "grapheme", maxLength: 12 });
const texts = fc.dictionary(text, text, { maxKeys: 4 }).filter((map) => !Object.hasOwn(map, "__proto__"));
const int64 = fc.bigInt({ min: -(10n ** 17n), max: 10n ** 17n }).map(String);
const duration = fc
  .tuple(fc.boolean(), fc.integer({ min: 0, max: 315_576_000_000 }), fc.integer({ min: 0, max: 999_999_999 }))
  .map(([negative, seconds, nanos]) => `${negative ? "-" : ""}${seconds}.${String(nanos).padStart(9, "0")}s`);

/** Values for a message: every field there, sometimes. */
function values(desc: DescMessage): fc.Arbitrary<JsonValue> {
  const fields = Object.fromEntries(
    desc.fields.map((field): [string, fc.Arbitrary<unknown>] => {
      if (field.fieldKind === "map") return [field.jsonName, texts];
      if (field.fieldKind === "list") {
        const item = field.listKind === "message" ? values(field.message) : text;
        return [field.jsonName, fc.array(item, { maxLength: 3 })];
      }
      if (field.fieldKind === "message") {
        return [field.jsonName, field.message.name === "Duration" ? duration : values(field.message)];
      }
      return [field.jsonName, field.name.endsWith("_value") ? int64 : text];
    }),
  );
  return fc.record(fields, { requiredKeys: [] }) as fc.Arbitrary<JsonValue>;
}

describe("google.rpc in binary", () => {
  for (const desc of file_google_rpc_error_details.messages) {
    it(`${desc.typeName} is written and read as protobuf-es does (property)`, () => {
      assert.ok(isGoogleRpc(desc.typeName));
      fc.assert(
        fc.property(values(desc), (value) => {
          const message = fromJson(desc, value);
          const ours = encodeGoogleRpc(desc.typeName, value);
          assert.deepEqual(toJson(desc, fromBinary(desc, ours)), toJson(desc, message));
          // What we read has empty texts and lists besides: the same message.
          const read = decodeGoogleRpc(desc.typeName, toBinary(desc, message)) as JsonValue;
          assert.deepEqual(toJson(desc, fromJson(desc, read)), toJson(desc, message));
        }),
      );
    });
  }

  it("fields that are not known are skipped, and a wrong wire type is an error", () => {
    const unknown = Buffer.from("0a01619a0601fff80702", "hex");
    assert.deepEqual(decodeGoogleRpc("google.rpc.ErrorInfo", unknown), { reason: "a", domain: "" });
    assert.throws(
      () => decodeGoogleRpc("google.rpc.ErrorInfo", Buffer.from("0801", "hex")),
      /field reason has wire type 0/,
    );
    assert.throws(() => decodeGoogleRpc("google.rpc.RetryInfo", Buffer.from("0a06088080808080", "hex")));
  });
});
