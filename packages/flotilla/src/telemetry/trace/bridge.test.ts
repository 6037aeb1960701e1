import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, test } from "node:test";
import {
  context,
  createContextKey,
  defaultTextMapGetter,
  defaultTextMapSetter,
  propagation,
  ROOT_CONTEXT,
  trace,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { suppressTracing, W3CBaggagePropagator, W3CTraceContextPropagator } from "@opentelemetry/core";
import fc from "fast-check";
import type { Context } from "../../context/context.ts";
import { background } from "../../context/with.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { baggage, withBaggage } from "../../metadata/baggage.ts";
import { bridge } from "./bridge.ts";
import { currentSpan, withSpan } from "./current-span.ts";
import { w3cPropagator } from "./propagator.ts";
import { bed } from "./test-fixtures/recorder.ts";

const key = createContextKey("k");
const method = (kind: MethodInfo["kind"]): MethodInfo => ({ kind }) as MethodInfo;

/** Registers the globals that libraries use, for one test. */
async function registered(
  run: (managed: ReturnType<typeof bridge>, made: ReturnType<typeof bed>) => Promise<void>,
): Promise<void> {
  const managed = bridge();
  const made = bed();
  context.setGlobalContextManager(managed.enable());
  trace.setGlobalTracerProvider(made.provider);
  propagation.setGlobalPropagator(w3cPropagator);
  try {
    await run(managed, made);
  } finally {
    managed.disable();
    context.disable();
    trace.disable();
    propagation.disable();
  }
}

/** What an instrumented library does: knows the globals only. */
async function library(name: string): Promise<Record<string, string>> {
  await new Promise((resolve) => setImmediate(resolve));
  return trace.getTracer("library").startActiveSpan(name, async (span) => {
    await Promise.resolve();
    const headers: Record<string, string> = {};
    propagation.inject(context.active(), headers);
    span.end();
    return headers;
  });
}

describe("bridge", () => {
  test("spans of instrumented libraries are children of the call's, and their requests carry them on", () =>
    registered(async (managed, { tracer, sink }) => {
      const call = tracer.start("call", 1, undefined, []);
      const handler: Endpoint<string, Record<string, string>> = async (_ctx, request) => library(request);
      const endpoint = managed.middleware(handler, method("unary"));
      const [headers] = await Promise.all([endpoint(withSpan(background(), call), "query"), library("outside")]);
      const query = sink.spans.find(({ name }) => name === "query")!;
      assert.deepEqual([query.traceId, query.parentSpanId], [call.traceId, call.spanId]);
      assert.equal(sink.spans.find(({ name }) => name === "outside")!.parentSpanId, undefined);
      assert.equal(headers["traceparent"], `00-${call.traceId}-${query.spanId}-03`);
      assert.equal(context.active(), ROOT_CONTEXT);
    }));

  test("so are those of a streaming handler, whoever asks for its messages", () =>
    registered(async (managed, { tracer, sink }) => {
      const call = tracer.start("call", 1, undefined, []);
      const handler: Endpoint<number, AsyncIterable<number>> = (_ctx, count) =>
        Promise.resolve(
          (async function* () {
            try {
              for (let i = 0; i < count; i++) {
                await library(`message ${i}`);
                yield i;
              }
            } finally {
              await library("end");
            }
          })(),
        );
      const endpoint = managed.middleware(handler, method("server_stream"));
      for await (const value of await endpoint(withSpan(background(), call), 5)) if (value === 2) break;
      assert.deepEqual(sink.names, ["message 0", "message 1", "message 2", "end"]);
      for (const span of sink.spans) assert.equal(span.parentSpanId, call.spanId);
    }));

  test("adopt is the way back", () =>
    registered((managed, { tracer }) => {
      const ctx: Context = background();
      assert.equal(managed.adopt(ctx), ctx);
      const call = withSpan(ctx, tracer.start("call", 1, undefined, []));
      return managed.run(call, async () => {
        trace.getTracer("library").startActiveSpan("query", (span) => {
          assert.equal(currentSpan(managed.adopt(call)), span);
        });
      });
    }));

  test("baggage goes over, and comes back", () =>
    registered(async (managed, { tracer }) => {
      const ctx = withBaggage(withSpan(background(), tracer.start("call", 1, undefined, [])), {
        tenant: "a b",
        n: "1",
      });
      await managed.run(ctx, async () => {
        await Promise.resolve();
        const headers: Record<string, string> = {};
        new W3CBaggagePropagator().inject(context.active(), headers, defaultTextMapSetter);
        assert.equal(headers["baggage"], "tenant=a%20b,n=1");
        const active = propagation
          .getActiveBaggage()!
          .setEntry("added", { value: "x,y" })
          .setEntry("bad name", { value: "" });
        context.with(propagation.setBaggage(context.active(), active), () => {
          const adopted = baggage(managed.adopt(ctx));
          assert.deepEqual(
            [...adopted],
            [
              ["tenant", "a b"],
              ["n", "1"],
              ["added", "x,y"],
            ],
          );
          // More than any hop may carry: what the context has stays.
          const huge = active.setEntry("huge", { value: "x".repeat(10_000) });
          context.with(propagation.setBaggage(context.active(), huge), () => {
            assert.deepEqual([...baggage(managed.adopt(ctx)).keys()], ["tenant", "n"]);
          });
        });
      });
    }));

  test("keeps what else is in the active context", () => {
    const managed = bridge();
    const { tracer } = bed();
    const [outer, call] = [tracer.start("outer", 0, undefined, []), tracer.start("call", 1, undefined, [])];
    managed.with(trace.setSpan(ROOT_CONTEXT.setValue(key, 1), outer), () => {
      managed.run(withSpan(background(), call), () => {
        assert.equal(managed.active().getValue(key), 1);
        assert.equal(trace.getSpan(managed.active()), call);
      });
      // A context without a span hides none.
      managed.run(background(), () => assert.equal(trace.getSpan(managed.active()), outer));
    });
  });

  for (const [name, make] of [
    ["bridge", bridge],
    ["the official manager", () => new AsyncLocalStorageContextManager()],
  ] as const) {
    describe(`${name} as OpenTelemetry's context manager`, () => {
      const one = ROOT_CONTEXT.setValue(key, 1);

      test("with", async () => {
        const manager = make().enable();
        assert.equal(manager.active(), ROOT_CONTEXT);
        const self = { x: 1 };
        const result = await manager.with(
          one,
          async function (this: typeof self, a: number) {
            await Promise.resolve();
            assert.equal(manager.active(), one);
            return this.x + a;
          },
          self,
          2,
        );
        assert.equal(result, 3);
        assert.throws(
          () =>
            manager.with(one, () => {
              throw new Error("mine");
            }),
          /mine/,
        );
        assert.equal(manager.active(), ROOT_CONTEXT);
        manager.disable();
      });

      test("attach", () => {
        const manager = make().enable();
        manager.with(ROOT_CONTEXT, () => {
          const token = manager.attach!(one);
          assert.equal(manager.active(), one);
          token.dispose();
          assert.equal(manager.active(), ROOT_CONTEXT);
          manager.attach!(one);
          token.dispose();
          assert.equal(manager.active(), one);
        });
        manager.disable();
      });

      test("bind a function", () => {
        const manager = make().enable();
        const bound = manager.bind(one, function (this: unknown, a: number, b: number) {
          return [this, a + b, manager.active()];
        });
        assert.equal(bound.length, 2);
        assert.deepEqual(bound.call("self", 1, 2), ["self", 3, one]);
        assert.equal(manager.bind(one, 7), 7);
        manager.disable();
      });

      test("bind an emitter", () => {
        const manager = make().enable();
        const emitter = manager.bind(one, new EventEmitter());
        assert.equal(manager.bind(one, emitter), emitter);
        const seen: string[] = [];
        const listener = function (this: unknown, text: string): void {
          assert.equal(manager.active(), one);
          assert.equal(this, emitter);
          seen.push(text);
        };
        for (const add of ["on", "addListener", "prependListener", "once", "prependOnceListener"] as const) {
          assert.equal(emitter[add]("x", listener), emitter);
          emitter.emit("x", add);
          emitter.removeListener("x", listener);
          emitter.emit("x", "removed");
          assert.equal(emitter.listenerCount("x"), 0, add);
          emitter[add]("x", listener);
          emitter.off("x", listener);
          assert.equal(emitter.listenerCount("x"), 0, `${add} taken off`);
        }
        assert.deepEqual(seen, ["on", "addListener", "prependListener", "once", "prependOnceListener"]);
        emitter.on("x", listener).once("x", listener);
        emitter.emit("x", "both");
        assert.equal(emitter.listenerCount("x"), 1);
        emitter.removeAllListeners();
        assert.equal(emitter.listenerCount("x"), 0);
        manager.disable();
      });
    });
  }
});

describe("w3cPropagator", () => {
  const official = new W3CTraceContextPropagator();
  const hex = (length: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));
  const state = fc.stringMatching(/^[a-z]{1,3}=[a-z]{1,3}(,[d-f]{4}=[0-9]{1,2})?$/);

  test("reads and writes what the official one reads and writes (property)", () => {
    fc.assert(
      fc.property(
        hex(32),
        hex(16),
        fc.constantFrom("00", "01", "02", "03"),
        fc.option(state, { nil: undefined }),
        (traceId, spanId, flags, tracestate) => {
          const carrier: Record<string, string> = { traceparent: `00-${traceId}-${spanId}-${flags}` };
          if (tracestate !== undefined) carrier["tracestate"] = tracestate;
          const [mine, theirs] = [w3cPropagator, official].map((one) => {
            const extracted = one.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);
            const injected: Record<string, string> = {};
            one.inject(extracted, injected, defaultTextMapSetter);
            return injected;
          });
          assert.deepEqual(mine, theirs);
        },
      ),
    );
  });

  test("malformed, doubled and suppressed headers are none", () => {
    for (const traceparent of ["", "x", ["a", "b"]]) {
      assert.equal(w3cPropagator.extract(ROOT_CONTEXT, { traceparent }, defaultTextMapGetter), ROOT_CONTEXT);
    }
    const headers = {};
    const { tracer } = bed();
    const active = trace.setSpan(ROOT_CONTEXT, tracer.start("a", 0, undefined, []));
    w3cPropagator.inject(suppressTracing(active), headers, defaultTextMapSetter);
    w3cPropagator.inject(ROOT_CONTEXT, headers, defaultTextMapSetter);
    assert.deepEqual(headers, {});
    assert.deepEqual(w3cPropagator.fields(), ["traceparent", "tracestate"]);
  });
});
