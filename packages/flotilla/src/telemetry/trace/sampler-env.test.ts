import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { samplerFromEnv } from "./sampler-env.ts";

function read(name: string | undefined, arg?: string): [string | undefined, number] {
  const { sampler, errors } = samplerFromEnv({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: arg });
  return [sampler?.description, errors.length];
}

const slots =
  "remoteParentSampled=AlwaysOnSampler, remoteParentNotSampled=AlwaysOffSampler, localParentSampled=AlwaysOnSampler, localParentNotSampled=AlwaysOffSampler}";

describe("samplerFromEnv", () => {
  test("knows the samplers of the specification", () => {
    assert.deepEqual(read(undefined), [undefined, 0]);
    assert.deepEqual(read(""), [undefined, 0]);
    assert.deepEqual(read("always_on"), ["AlwaysOnSampler", 0]);
    assert.deepEqual(read(" Always_Off "), ["AlwaysOffSampler", 0]);
    assert.deepEqual(read("traceidratio", "0.25"), ["TraceIdRatioBased{0.25}", 0]);
    assert.deepEqual(read("traceidratio"), ["TraceIdRatioBased{1}", 0]);
    assert.deepEqual(read("parentbased_always_on"), [`ParentBased{root=AlwaysOnSampler, ${slots}`, 0]);
    assert.deepEqual(read("parentbased_always_off"), [`ParentBased{root=AlwaysOffSampler, ${slots}`, 0]);
    assert.deepEqual(read("parentbased_traceidratio", "0"), [`ParentBased{root=TraceIdRatioBased{0}, ${slots}`, 0]);
  });

  test("says what is wrong, and goes on", () => {
    for (const arg of ["2", "-1", "x", "NaN", "0,5"]) {
      assert.deepEqual(read("traceidratio", arg), ["TraceIdRatioBased{1}", 1]);
    }
    const { sampler, errors } = samplerFromEnv({ OTEL_TRACES_SAMPLER: "jaeger_remote" });
    assert.equal(sampler, undefined);
    assert.match(errors[0]!, /OTEL_TRACES_SAMPLER is "jaeger_remote", which is none of always_on, /);
    // What the sampler does not read is not judged.
    assert.deepEqual(read("always_on", "x"), ["AlwaysOnSampler", 0]);
  });
});
