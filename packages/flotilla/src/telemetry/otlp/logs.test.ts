import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtobufLogsSerializer } from "@opentelemetry/otlp-transformer";
import fc from "fast-check";
import { codePoint } from "../../../test/code-point.ts";
import type { LogData } from "../model.ts";
import { logEncoder } from "./logs.ts";
import { decodeRequest } from "./test-fixtures/decode.ts";
import { scope } from "./test-fixtures/samples.ts";

type OfficialRecords = Parameters<typeof ProtobufLogsSerializer.serializeRequest>[0];

const records: fc.Arbitrary<LogData> = fc.record({
  epochMs: fc.integer({ min: 0, max: 4e12 }),
  severityNumber: fc.integer({ min: 1, max: 24 }),
  severityText: fc.constantFrom("", "INFO", "ERROR"),
  body: fc.string({ unit: codePoint, maxLength: 5000 }),
  attributes: fc.constantFrom([], ["code.function.name", "sum", "n", 7]),
  scope: fc.constant(scope),
  traceId: fc.constantFrom(undefined, "0af7651916cd43dd8448eb211c80319c"),
  spanId: fc.constantFrom(undefined, "b7ad6b7169203331"),
  traceFlags: fc.constantFrom(0, 1),
  eventName: fc.constantFrom(undefined, "request.done"),
});

/** The record as the official logs SDK would hold it. */
function official(record: LogData): unknown {
  const time = [Math.floor(record.epochMs / 1000), (record.epochMs % 1000) * 1e6];
  return {
    hrTime: time,
    hrTimeObserved: time,
    severityNumber: record.severityNumber,
    severityText: record.severityText,
    body: record.body,
    attributes: record.attributes.length === 0 ? {} : { "code.function.name": "sum", n: 7 },
    droppedAttributesCount: 0,
    eventName: record.eventName,
    spanContext:
      record.traceId === undefined
        ? record.spanId && { spanId: record.spanId, traceFlags: 0 }
        : { traceId: record.traceId, spanId: record.spanId, traceFlags: record.traceFlags },
    instrumentationScope: scope,
    resource,
  };
}
const resource = { attributes: { "service.name": "calc" } };

test("says of a log record what the official serializer says", () => {
  const encoder = logEncoder(resource);
  fc.assert(
    fc.property(fc.array(records, { minLength: 1, maxLength: 4 }), (batch) => {
      const { bytes, failed } = encoder(batch);
      assert.equal(failed, 0);
      const theirs = ProtobufLogsSerializer.serializeRequest(batch.map(official) as OfficialRecords)!;
      assert.deepEqual(decodeRequest("Logs", bytes), decodeRequest("Logs", theirs));
    }),
  );
});
