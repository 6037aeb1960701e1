import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { toBinaryDetail } from "../../codec/error-details.ts";
import type { ErrorDetail, ServiceError } from "../../errors/service-error.ts";

/**
 * An error detail that is a protobuf message: every Connect and gRPC peer that knows the type can read it.
 *
 * ```ts
 * throw new ServiceError("failed_precondition", "not enough left", {
 *   details: [protobufDetail(OutOfStockSchema, { sku: "7", left: 2n })],
 * });
 * ```
 */
export function protobufDetail<Desc extends DescMessage>(desc: Desc, init: MessageInitShape<Desc>): ErrorDetail {
  const message = create(desc, init);
  return { type: desc.typeName, value: debugJson(desc, message), binary: toBinary(desc, message) };
}

/**
 * The first detail of an error that is a message of the given type; undefined when there is none, or when its bytes are no such
 * message.
 */
export function findProtobufDetail<Desc extends DescMessage>(
  error: ServiceError,
  desc: Desc,
): MessageShape<Desc> | undefined {
  for (const detail of error.details) {
    if (detail.type !== desc.typeName) continue;
    const { type, bytes } = toBinaryDetail(detail);
    if (type !== desc.typeName) continue;
    try {
      return fromBinary(desc, bytes);
    } catch {
      // Malformed: as if it were not there; a later one may be well.
    }
  }
  return undefined;
}

/** For people only: a message that has no JSON (an Any of a type that is not known) goes without. */
function debugJson<Desc extends DescMessage>(desc: Desc, message: MessageShape<Desc>): unknown {
  try {
    return toJson(desc, message);
  } catch {
    return undefined;
  }
}
