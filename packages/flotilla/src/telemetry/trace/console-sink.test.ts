import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../clock/random.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { type ConsoleSink, type ConsoleSinkOptions, consoleSink, type Terminal, wantsColour } from "./console-sink.ts";
import { createTracerProvider } from "./provider.ts";
import type { LeanTracer } from "./tracer.ts";

interface Bed {
  readonly clock: VirtualClock;
  readonly written: string[];
  readonly sink: ConsoleSink;
  readonly tracer: LeanTracer;
}

function bed(options: ConsoleSinkOptions = {}): Bed {
  const clock = new VirtualClock();
  const written: string[] = [];
  const terminal: Terminal = { columns: 80, write: (text) => written.push(text) };
  const sink = consoleSink({ clock, terminal, env: {}, ...options });
  const tracer = createTracerProvider({ clock, sink, random: seededRandom(1) }).getTracer("t");
  return { clock, written, sink, tracer };
}

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

describe("consoleSink", () => {
  test("draws a trace a little after its root, with what ends meanwhile, and services that share the process", async () => {
    const { clock, written, tracer } = bed({ service: "shop" });
    const root = tracer.start("gateway", 1, undefined, []);
    const client = tracer.start("call", 2, root, []);
    const server = tracer.startRemote("routing", 1, client.traceparent, undefined, []);
    const late = tracer.start("late", 0, root, []);
    server.end();
    client.end();
    await clock.advance(20);
    root.end();
    late.end();
    await clock.advance(29);
    // The inner root's time.
    await clock.advance(21);
    assert.equal(written.length, 1);
    const [text = ""] = written;
    assert.match(text, /4 spans/);
    assert.match(text, /\n◀ gateway .*\n├─ ▶ call .*\n│ {2}└─ ◀ routing .*\n└─ late/);
    assert.match(text, /shop/);
    assert.equal(clock.pending, 0);
  });

  test("unfinished traces wait; flush draws the finished ones, close all", async () => {
    const { clock, written, sink, tracer } = bed();
    const open = tracer.start("open", 1, undefined, []);
    tracer.start("child", 0, open, []).end();
    tracer.start("done", 1, undefined, []).end();
    await sink.flush();
    assert.equal(count(written.join(""), /trace /g), 1);
    await clock.advance(1_000);
    await sink.close();
    assert.equal(count(written.join(""), /trace /g), 2);
    assert.equal(clock.pending, 0);
    open.end();
    assert.deepEqual(sink.counts, { skippedTraces: 0, droppedSpans: 1 });
  });

  test("draws so many a second, and tells of the others", async () => {
    const { clock, written, sink, tracer } = bed({ maxPerSecond: 3, settleMs: 0 });
    for (let i = 0; i < 10; i++) tracer.start(`a${i}`, 1, undefined, []).end();
    await clock.advance(1);
    assert.equal(count(written.join(""), /trace /g), 3);
    await clock.advance(1_000);
    tracer.start("b", 1, undefined, []).end();
    await clock.advance(1);
    assert.match(written.at(-1)!, /^\(7 traces were not drawn\)\n\ntrace /);
    assert.equal(sink.counts.skippedTraces, 7);
  });

  test("is bounded by traces and spans of a trace", async () => {
    const { written, sink, tracer } = bed({ maxTraces: 2, maxSpansPerTrace: 3 });
    for (const name of ["first", "second", "third"]) {
      const root = tracer.start(name, 1, undefined, []);
      for (let i = 0; i < 4; i++) tracer.start(`${name}.${i}`, 0, root, []).end();
    }
    await sink.close();
    assert.deepEqual(sink.counts, { skippedTraces: 1, droppedSpans: 6 });
    assert.equal(count(written.join(""), /3 spans/g), 2);
    assert.doesNotMatch(written.join(""), /first/);
  });

  test("a terminal that throws fails nobody", async () => {
    const { sink, tracer } = bed({
      terminal: {
        write() {
          throw new Error("EPIPE");
        },
      },
    });
    tracer.start("a", 1, undefined, []).end();
    await sink.flush();
    assert.equal(sink.counts.skippedTraces, 1);
  });

  test("colours: NO_COLOR before FORCE_COLOR before the terminal", () => {
    const tty: Terminal = { isTTY: true, write() {} };
    const pipe: Terminal = { write() {} };
    assert.equal(wantsColour(tty, {}), true);
    assert.equal(wantsColour(pipe, {}), false);
    assert.equal(wantsColour(tty, { NO_COLOR: "1", FORCE_COLOR: "1" }), false);
    assert.equal(wantsColour(tty, { NO_COLOR: "" }), true);
    assert.equal(wantsColour(pipe, { FORCE_COLOR: "1" }), true);
    assert.equal(wantsColour(tty, { FORCE_COLOR: "0" }), false);
    assert.equal(wantsColour(tty, { TERM: "dumb" }), false);
  });

  test("refuses bad options", () => {
    assert.throws(() => consoleSink({ settleMs: -1 }), /consoleSink: settleMs must be 0 or more/);
    for (const name of ["maxPerSecond", "maxTraces", "maxSpansPerTrace"]) {
      assert.throws(() => consoleSink({ [name]: 0 }), new RegExp(`consoleSink: ${name} must be 1 or more`));
    }
  });
});
