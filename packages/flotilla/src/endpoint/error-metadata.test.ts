import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { background, withValue } from "../context/with.ts";
import { ServiceError } from "../errors/service-error.ts";
import { Metadata } from "../metadata/metadata.ts";
import { sentMetadata } from "./error-metadata.ts";
import type { MethodInfo } from "./method-info.ts";
import { errorReporterKey } from "./report.ts";

const method = { procedure: "test.v1.Notes/one" } as MethodInfo;

function sent(metadata: Record<string, string>): { sent: Record<string, unknown>; told: string[] } {
  const told: string[] = [];
  const ctx = withValue(background(), errorReporterKey, (error, of) => told.push(`${of?.procedure}: ${error.message}`));
  return { sent: { ...sentMetadata(ctx, new ServiceError("not_found", "", { metadata }), method) }, told };
}

test("metadata of an error that cannot be a header is left out, and told once", () => {
  assert.deepEqual(sent({ "x-a": "b\r\nx-c: 0", "x b": "c", "x-d": "é", "X-Own": "1", "x-data-bin": "AAEC/w" }), {
    sent: { "x-own": "1", "x-data-bin": "AAEC/w" },
    told: [
      'test.v1.Notes/one: 3 of the metadata of an error (not_found) cannot be sent as headers and are left out: "x-a", "x b", "x-d"',
    ],
  });
  assert.deepEqual(sent({}), { sent: {}, told: [] });
  assert.deepEqual(sent({ "x-n": 1 as unknown as string }).sent, {}, "nor is what is no text");
});

test("what is told of odd metadata stays short, however much a peer sent", () => {
  const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`${i}${"é".repeat(1000)}`, ""]));
  const { told } = sent(many);
  assert.ok(told[0]!.length < 1000, `${told[0]!.length}`);
});

test("what is sent of an error's metadata is what Metadata takes, name for name", () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom("x-a", "X-A", "__proto__"));
  fc.assert(
    fc.property(fc.dictionary(text, text), (metadata) => {
      const taken = new Metadata();
      for (const [name, value] of Object.entries(metadata)) {
        try {
          taken.set(name, value);
        } catch (error) {
          assert.ok(error instanceof TypeError);
        }
      }
      const record = sentMetadata(
        withValue(background(), errorReporterKey, () => {}),
        new ServiceError("not_found", "", { metadata }),
        method,
      );
      assert.deepEqual([...new Metadata(record).entries()], [...taken.entries()]);
    }),
  );
});
