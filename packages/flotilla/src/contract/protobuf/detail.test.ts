import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { anyPack, StructSchema } from "@bufbuild/protobuf/wkt";
import { BadRequestSchema, RetryInfoSchema } from "../../../test/gen/google/rpc/error_details_pb.ts";
import { SayRequestSchema, SayResponseSchema } from "../../../test/gen/test/v1/echo_pb.ts";
import { EverythingSchema } from "../../../test/gen/test/v1/kinds_pb.ts";
import { decodeDetail, encodeDetail } from "../../codec/error-details.ts";
import { badRequest } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { findProtobufDetail, protobufDetail } from "./detail.ts";

describe("protobuf messages as error details", () => {
  const detail = protobufDetail(SayRequestSchema, { sentence: "hi", times: 2 });

  it("carry their bytes, and JSON for people", () => {
    assert.equal(detail.type, "test.v1.SayRequest");
    assert.deepEqual(detail.value, { sentence: "hi", times: 2 });
    assert.deepEqual(encodeDetail(detail), {
      type: "test.v1.SayRequest",
      value: "CgJoaRAC",
      debug: { sentence: "hi", times: 2 },
    });
  });

  it("are found again after the wire, by their descriptor", () => {
    const details = [badRequest([{ field: "a", description: "b" }]), detail].map((one) =>
      decodeDetail(JSON.parse(JSON.stringify(encodeDetail(one)))),
    );
    const error = new ServiceError("failed_precondition", "no", { details });
    assert.deepEqual(
      findProtobufDetail(error, SayRequestSchema),
      create(SayRequestSchema, { sentence: "hi", times: 2 }),
    );
    assert.deepEqual(findProtobufDetail(error, BadRequestSchema)?.fieldViolations[0]?.field, "a");
    assert.equal(findProtobufDetail(error, RetryInfoSchema), undefined);
    assert.equal(findProtobufDetail(error, SayResponseSchema), undefined);
  });

  it("a detail of another making does not pass for one", () => {
    const plain = { type: "test.v1.SayRequest", value: { sentence: "hi" } };
    assert.equal(
      findProtobufDetail(new ServiceError("aborted", "", { details: [plain] }), SayRequestSchema),
      undefined,
    );
    const struct = { type: "google.protobuf.Struct", value: { a: 1 } };
    assert.deepEqual(
      findProtobufDetail(new ServiceError("aborted", "", { details: [struct] }), StructSchema)?.fields["a"]?.kind.value,
      1,
    );
  });

  it("malformed bytes are passed over", () => {
    const malformed = { type: "test.v1.SayRequest", value: undefined, binary: new Uint8Array([0xff]) };
    const error = new ServiceError("aborted", "", { details: [malformed, detail] });
    assert.equal(findProtobufDetail(error, SayRequestSchema)?.sentence, "hi");
  });

  it("a message without JSON goes without", () => {
    const any = anyPack(SayRequestSchema, create(SayRequestSchema));
    const wire = encodeDetail(protobufDetail(EverythingSchema, { any }));
    assert.equal(wire.debug, undefined);
    assert.ok(wire.value.length > 10);
  });
});
