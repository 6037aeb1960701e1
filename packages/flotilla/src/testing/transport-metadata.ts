import assert from "node:assert/strict";
import { contextKey } from "../context/key.ts";
import { withValue } from "../context/with.ts";
import { ServiceError } from "../errors/service-error.ts";
import { baggage, withBaggage } from "../metadata/baggage.ts";
import { serverCall, withHeaders, withResponseObserver } from "../metadata/call.ts";
import type { Metadata } from "../metadata/metadata.ts";
import { PRIORITY_HEADER, priorityOf, withPriority } from "../metadata/priority.ts";
import { currentTrace, withTrace } from "../metadata/trace.ts";
import type { ContractTest } from "./balancer-contract.ts";
import {
  failureOf,
  notes,
  readAll,
  streamOf,
  streamTest,
  type TransportUnderTest,
  transportTest,
} from "./transport-bed.ts";

const nothing = { n: 0, text: "" };
const secretKey = contextKey<string>("flotilla.testing.secret");

/** Headers, trailers, trace and baggage; and that nothing else of the context crosses. */
export function metadataTests(under: TransportUnderTest): ContractTest[] {
  const mark = (ctx: Parameters<typeof serverCall>[0]): void => {
    const call = serverCall(ctx)!;
    call.responseHeaders.set("x-head", "h1");
    call.responseHeaders.append("x-head", "h2");
    call.responseTrailers.set("x-trail", "t1");
  };
  const observed: { headers: Metadata; trailers: Metadata }[] = [];
  const observing = (ctx: Parameters<typeof serverCall>[0]): Parameters<typeof serverCall>[0] => {
    observed.length = 0;
    return withResponseObserver(ctx, (headers, trailers) => observed.push({ headers, trailers }));
  };
  const assertObserved = (): void => {
    assert.equal(observed.length, 1, "the observer is told once a call");
    assert.equal(observed[0]!.headers.get("x-head"), "h1, h2");
    assert.equal(observed[0]!.trailers.get("X-Trail"), "t1");
  };

  return [
    transportTest(
      "request headers reach the handler, names in any case",
      under,
      () => ({
        one(ctx) {
          const { headers } = serverCall(ctx)!;
          return { n: 0, text: `${headers.get("X-Tenant")} ${headers.get("x-data-bin")} ${headers.get("x-none")}` };
        },
      }),
      async ({ client, ctx }) => {
        const above = withHeaders(ctx, { "X-Tenant": "acme", "x-data-bin": "AAEC/w" });
        assert.equal((await client.one(above, nothing)).text, "acme AAEC/w undefined");
        assert.equal(
          (await client.one(withHeaders(above, { "x-tenant": "other" }), nothing)).text,
          "other AAEC/w undefined",
        );
      },
    ),
    transportTest(
      "response headers and trailers of a unary call reach the observer",
      under,
      () => ({
        one(ctx) {
          mark(ctx);
          return nothing;
        },
      }),
      async ({ client, ctx }) => {
        await client.one(observing(ctx), nothing);
        assertObserved();
      },
    ),
    transportTest(
      "response headers and trailers of a failed call reach the observer",
      under,
      () => ({
        one(ctx) {
          mark(ctx);
          throw new ServiceError("not_found", "no such note");
        },
      }),
      async ({ client, ctx }) => {
        assert.equal((await failureOf(client.one(observing(ctx), nothing))).code, "not_found");
        assertObserved();
      },
    ),
    ...streamTest(
      "response headers and trailers of streams reach the observer",
      under,
      () => ({
        async *many(ctx) {
          mark(ctx);
          yield* notes(2);
        },
        async collect(ctx, requests) {
          mark(ctx);
          return { n: (await readAll(requests)).length, text: "" };
        },
      }),
      async ({ client, ctx }) => {
        await readAll(client.many(observing(ctx), nothing));
        assertObserved();
        await client.collect(observing(ctx), streamOf(notes(2)));
        assertObserved();
      },
    ),
    transportTest(
      "trace context crosses",
      under,
      () => ({
        one(ctx) {
          const trace = currentTrace(ctx);
          return { n: 0, text: `${trace?.traceparent} ${trace?.tracestate}` };
        },
      }),
      async ({ client, ctx }) => {
        const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        const traced = withTrace(ctx, { traceparent, tracestate: "congo=t61rcWkgMzE" });
        assert.equal((await client.one(traced, nothing)).text, `${traceparent} congo=t61rcWkgMzE`);
        assert.equal((await client.one(ctx, nothing)).text, "undefined undefined");
      },
    ),
    transportTest(
      "baggage crosses, any text",
      under,
      () => ({ one: (ctx) => ({ n: baggage(ctx).size, text: JSON.stringify([...baggage(ctx)]) }) }),
      async ({ client, ctx }) => {
        const members = { tenant: "Ærø, 100 % & more", "user-id": "7" };
        const { text } = await client.one(withBaggage(ctx, members), nothing);
        assert.deepEqual(JSON.parse(text), Object.entries(members));
      },
    ),
    transportTest(
      "priority crosses, and is handed on",
      under,
      () => ({ one: (ctx) => ({ n: 0, text: priorityOf(ctx) }) }),
      async ({ client, ctx }) => {
        assert.equal((await client.one(ctx, nothing)).text, "default");
        for (const priority of ["critical", "sheddable", "default"] as const) {
          assert.equal((await client.one(withPriority(ctx, priority), nothing)).text, priority);
        }
        assert.equal(
          (await client.one(withHeaders(ctx, { [PRIORITY_HEADER]: "mine first" }), nothing)).text,
          "default",
        );
      },
    ),
    transportTest(
      "nothing else of the caller's context crosses",
      under,
      () => ({ one: (ctx) => ({ n: 0, text: `${ctx.value(secretKey)} ${ctx.deadline !== undefined}` }) }),
      async ({ client, ctx }) => {
        const { text } = await client.one(withValue(ctx, secretKey, "mine"), nothing);
        // The server's own limit is the only deadline.
        assert.equal(text, "undefined true");
      },
    ),
    transportTest(
      "the handler knows the protocol and the peer",
      under,
      () => ({
        one(ctx) {
          const { protocol, peer } = serverCall(ctx)!;
          return { n: 0, text: `${protocol} ${peer}` };
        },
      }),
      async ({ client, ctx }) => {
        assert.match((await client.one(ctx, nothing)).text, /^\S+ \S+$/);
      },
    ),
  ];
}
