import type { Context } from "../context/context.ts";
import { chain, type Endpoint, type Middleware } from "./endpoint.ts";
import type { MethodInfo } from "./method-info.ts";
import { observeStream } from "./stream.ts";

/** Compiles only where the two types are the very same, so `any` cannot pass for anything else. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

declare const ctx: Context;
declare const method: MethodInfo;
declare const sum: Endpoint<{ a: number; b: number }, { v: number }>;
declare const ticks: Endpoint<{ every: number }, AsyncIterable<{ n: number }>>;
declare const pass: Middleware;

// @ts-expect-error: the guard itself refuses any.
same<ReturnType<typeof sum>, ReturnType<typeof JSON.parse>>(true);

// The types of the endpoint pass through one middleware, a chain, and a chain of none.
const one = pass(sum, method);
same<typeof one, typeof sum>(true);
const many = chain(pass, pass)(sum, method);
same<typeof many, typeof sum>(true);
const none = chain()(ticks, method);
same<typeof none, typeof ticks>(true);
same<Awaited<ReturnType<typeof many>>, { v: number }>(true);
same<Parameters<typeof many>, [ctx: Context, request: { a: number; b: number }]>(true);
same<ReturnType<typeof chain>, Middleware>(true);

// @ts-expect-error: b is missing.
void many(ctx, { a: 1 });
// @ts-expect-error: the context is missing.
void many({ a: 1, b: 2 });
// @ts-expect-error: an endpoint is no middleware.
chain(sum);
// @ts-expect-error: a middleware must work for every request and response.
const narrow: Middleware = (next: Endpoint<string, string>) => next;
// @ts-expect-error: it may not invent a response.
const invents: Middleware = () => async () => ({ v: 1 });
// @ts-expect-error: nor change the type of the request.
const changes: Middleware = (next) => (ctx, request) => next(ctx, String(request));
void [narrow, invents, changes];

// Parameters of a middleware's function are inferred, never any.
const inferred: Middleware = (next, info) => {
  same<typeof info, MethodInfo>(true);
  return (ctx, request) => {
    same<typeof ctx, Context>(true);
    // @ts-expect-error: what the request is, a middleware does not know.
    request.a;
    return next(ctx, request);
  };
};
void inferred;

// The bare Endpoint knows nothing, rather than everything.
same<Parameters<Endpoint>[1], unknown>(true);
same<Awaited<ReturnType<Endpoint>>, unknown>(true);

declare const stream: AsyncIterable<{ n: number }>;
const observed = observeStream(
  stream,
  (error, completed) => {
    same<typeof error, unknown>(true);
    same<typeof completed, boolean>(true);
  },
  (item) => same<typeof item, { n: number }>(true),
);
same<typeof observed, AsyncIterable<{ n: number }>>(true);
