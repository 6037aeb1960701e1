import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SpanStatusCode } from "@opentelemetry/api";
import fc from "fast-check";
import { seededRandom } from "../../clock/random.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { type KeepOptions, type KeepSink, keep } from "./keep.ts";
import { createTracerProvider } from "./provider.ts";
import { ratio } from "./sampler.ts";
import { RecordingSink } from "./test-fixtures/recorder.ts";
import type { LeanTracer } from "./tracer.ts";

interface Bed {
  readonly clock: VirtualClock;
  readonly out: RecordingSink;
  readonly sink: KeepSink;
  readonly tracer: LeanTracer;
}

function bed(options: KeepOptions = {}): Bed {
  const clock = new VirtualClock();
  const out = new RecordingSink();
  const sink = keep(out, { clock, ...options });
  return { clock, out, sink, tracer: createTracerProvider({ clock, sink, random: seededRandom(1) }).getTracer("t") };
}

describe("keep", () => {
  test("drops what is neither error nor slow nor in the share, as a whole", async () => {
    const { clock, out, sink, tracer } = bed({ slowMs: 100 });
    const root = tracer.start("root", 1, undefined, []);
    const child = tracer.start("child", 0, root, []);
    await clock.advance(99);
    child.end();
    root.end();
    assert.deepEqual(out.names, []);
    assert.deepEqual(sink.counts, { kept: 0, dropped: 2, overflowed: 0 });
  });

  test("keeps a trace for its slow root, in the order of the ends", async () => {
    const { clock, out, tracer } = bed({ slowMs: 100 });
    const root = tracer.start("root", 1, undefined, []);
    tracer.start("a", 0, root, []).end();
    tracer.start("b", 0, root, []).end();
    await clock.advance(100);
    assert.deepEqual(out.names, []);
    root.end();
    assert.deepEqual(out.names, ["a", "b", "root"]);
  });

  test("an error lets go what is held, and what follows; errors can be left out", () => {
    for (const errors of [true, false]) {
      const { out, tracer } = bed({ errors });
      const root = tracer.start("root", 1, undefined, []);
      tracer.start("a", 0, root, []).end();
      tracer.start("b", 0, root, []).setStatus({ code: SpanStatusCode.ERROR }).end();
      assert.deepEqual(out.names, errors ? ["a", "b"] : []);
      tracer.start("c", 0, root, []).end();
      root.end();
      assert.deepEqual(out.names, errors ? ["a", "b", "c", "root"] : []);
    }
  });

  test("what ends after its root has the root's fate", () => {
    const { out, sink, tracer } = bed();
    const dropped = tracer.start("dropped", 1, undefined, []);
    const kept = tracer.start("kept", 1, undefined, []);
    const late = [dropped, kept].map((root) => tracer.start("late", 0, root, []));
    dropped.end();
    kept.setStatus({ code: SpanStatusCode.ERROR }).end();
    for (const span of late) span.end();
    assert.deepEqual(
      out.spans.map(({ name, traceId }) => [name, traceId]),
      [
        ["kept", kept.traceId],
        ["late", kept.traceId],
      ],
    );
    assert.deepEqual(sink.counts, { kept: 2, dropped: 2, overflowed: 0 });
  });

  test("the share is that of the sampler of the same ratio", () => {
    const { out, tracer } = bed({ ratio: 0.3 });
    const sampler = ratio(0.3);
    const expected: string[] = [];
    for (let i = 0; i < 500; i++) {
      const root = tracer.start("root", 1, undefined, []);
      tracer.start("child", 0, root, []).end();
      root.end();
      if (sampler.sample(root.traceId, -1, false, "", 0)) expected.push(root.traceId, root.traceId);
    }
    assert.deepEqual(
      out.spans.map(({ traceId }) => traceId),
      expected,
    );
    assert.ok(expected.length > 200 && expected.length < 400);
  });

  test("two local roots of one trace are decided apart", () => {
    const { out, tracer } = bed();
    const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    const first = tracer.startRemote("first", 1, traceparent, undefined, []);
    const second = tracer.startRemote("second", 1, traceparent, undefined, []);
    tracer.start("of first", 0, first, []).end();
    tracer.start("of second", 0, second, []).end();
    second.setStatus({ code: SpanStatusCode.ERROR }).end();
    first.end();
    assert.deepEqual(out.names, ["of second", "second"]);
  });

  test("is bounded by traces, spans of a trace, and age", async () => {
    const { clock, out, sink, tracer } = bed({ maxTraces: 2, maxSpansPerTrace: 3, maxAgeMs: 1_000, slowMs: 5_000 });
    const start = (name: string) => {
      const root = tracer.start(name, 1, undefined, []);
      tracer.start(`${name}.child`, 0, root, []).end();
      return root;
    };
    const first = start("first");
    const second = start("second");
    const third = start("third");
    assert.equal(sink.counts.overflowed, 1);
    for (let i = 0; i < 5; i++) tracer.start("more", 0, third, []).end();
    assert.equal(sink.counts.overflowed, 4);
    await clock.advance(1_000);
    const fourth = start("fourth");
    // Second and third were too old.
    assert.equal(sink.counts.overflowed, 4 + 1 + 3);
    await clock.advance(4_000);
    for (const root of [first, second, third, fourth]) root.end();
    assert.deepEqual(out.names, ["first", "second", "third"]);
    assert.equal(sink.counts.dropped, 2);
  });

  test("close lets the undecided go, and drops what comes after", async () => {
    const { out, sink, tracer } = bed();
    const root = tracer.start("root", 1, undefined, []);
    tracer.start("a", 0, root, []).end();
    await sink.flush();
    assert.deepEqual([out.names, out.flushes], [[], 1]);
    await sink.close();
    root.end();
    assert.deepEqual([out.names, out.closes], [["a"], 1]);
    assert.deepEqual(sink.counts, { kept: 1, dropped: 1, overflowed: 0 });
  });

  test("every span is accounted for, and traces are whole while there is room (property)", () => {
    const action = fc.record({ trace: fc.nat({ max: 4 }), what: fc.constantFrom("child", "error", "end") });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), fc.integer({ min: 1, max: 8 }), (actions, maxTraces) => {
        const { out, sink, tracer } = bed({ maxTraces, maxSpansPerTrace: 4 });
        const roots = new Map<number, ReturnType<LeanTracer["start"]>>();
        let ended = 0;
        for (const { trace, what } of actions) {
          const root = roots.get(trace) ?? tracer.start("root", 1, undefined, []);
          roots.set(trace, root);
          const span = what === "end" ? root : tracer.start(what, 0, root, []);
          if (what === "error") span.setStatus({ code: SpanStatusCode.ERROR });
          span.end();
          ended++;
          if (what === "end") roots.delete(trace);
        }
        const { kept, dropped, overflowed } = sink.counts;
        assert.equal(out.spans.length, kept);
        const held = [...roots.values()].reduce(
          (sum, root) => sum + ("held" in root ? (root.held?.length ?? 0) : 0),
          0,
        );
        assert.equal(kept + dropped + overflowed + held, ended);
      }),
    );
  });

  test("refuses bad options", () => {
    const out = new RecordingSink();
    assert.throws(() => keep(out, { slowMs: -1 }), /keep: slowMs must be 0 or more/);
    assert.throws(() => keep(out, { ratio: 2 }), /keep: ratio: must be a number from 0 to 1/);
    for (const name of ["maxTraces", "maxSpansPerTrace", "maxAgeMs"]) {
      assert.throws(() => keep(out, { [name]: 0 }), {
        name: "RangeError",
        message: new RegExp(`keep: ${name} must be`),
      });
    }
  });
});
