import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TraceState } from "@opentelemetry/api";
import { TraceState as OfficialTraceState } from "@opentelemetry/core";
import fc from "fast-check";
import { LazyTraceState } from "./trace-state.ts";

describe("LazyTraceState", () => {
  test("a member that is set goes to the front, the others keep their order", () => {
    const state = new LazyTraceState("a=1, b=2,c=3");
    assert.equal(state.serialize(), "a=1,b=2,c=3");
    assert.equal(state.set("d", "4").serialize(), "d=4,a=1,b=2,c=3");
    assert.equal(state.set("b", "9").serialize(), "b=9,a=1,c=3");
    assert.equal(state.unset("b").serialize(), "a=1,c=3");
    assert.equal(state.unset("x"), state);
    assert.deepEqual([state.get("b"), state.get("x"), state.get("2")], ["2", undefined, undefined]);
    assert.equal(state.serialize(), "a=1,b=2,c=3");
  });

  test("what is invalid or would be too much is not set; a malformed header has no members", () => {
    const state = new LazyTraceState("a=1");
    for (const [key, value] of [
      ["A", "1"],
      ["", "1"],
      ["b", ""],
      ["b", "x,y"],
      ["b", "x=y"],
      ["b", "x".repeat(257)],
      [1, 2],
    ]) {
      assert.equal(state.set(key as string, value as string), state);
    }
    const full = new LazyTraceState(Array.from({ length: 32 }, (_, i) => `k${i}=1`).join(","));
    assert.equal(full.set("new", "1"), full);
    assert.equal(full.set("k31", "2").get("k31"), "2");
    const long = new LazyTraceState(`a=${"x".repeat(250)},b=${"x".repeat(250)}`);
    assert.equal(long.serialize().length, 505);
    assert.equal(long.set("c", "1234").serialize().length, 512);
    assert.equal(long.set("c", "12345"), long);
    assert.equal(new LazyTraceState("A=1,b").serialize(), "");
    assert.equal(new LazyTraceState("A=1").set("b", "1").serialize(), "b=1");
  });

  test("does what the official SDK's does (property)", () => {
    const key = fc.constantFrom("a", "b", "c", "d@e", "A", "");
    const value = fc.constantFrom("1", "22", "x y", " ", "a=b", "");
    const change = fc.tuple(fc.boolean(), key, value);
    const start = fc.constantFrom("", "a=1", "a=1,b=2", "c=3 , a=1,d@e=5");
    fc.assert(
      fc.property(start, fc.array(change, { maxLength: 8 }), (header, changes) => {
        const states = [new LazyTraceState(header), new OfficialTraceState(header)].map((state) =>
          changes.reduce<TraceState>(
            (current, [set, name, text]) => (set ? current.set(name, text) : current.unset(name)),
            state,
          ),
        );
        assert.equal(states[0]!.serialize(), states[1]!.serialize());
        for (const name of ["a", "b", "c", "d@e"]) assert.equal(states[0]!.get(name), states[1]!.get(name));
      }),
    );
  });
});
