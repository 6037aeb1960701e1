import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import type { Context } from "../context/context.ts";
import { type Client, contract, type Implementation, type ReplyOf, type RequestOf } from "./contract.ts";
import { bidiStream, clientStream, serverStream, unary } from "./method.ts";

type IsAny<T> = 0 extends 1 & T ? true : false;
type Equal<A, B> =
  IsAny<A> extends IsAny<B>
    ? (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2
      ? true
      : false
    : false;
const yes = <T extends true>(_: T | undefined = undefined): void => {};
declare const ctx: Context;

export const Everything = contract("types.v1.Everything", {
  zod: unary({
    input: z.object({ a: z.number(), b: z.string().default("x") }),
    output: z.object({ v: z.number() }),
    failed: ({ v }) => (v < 0 ? "negative" : undefined),
  }),
  valibot: serverStream({ input: v.object({ to: v.number() }), output: v.object({ n: v.number() }) }),
  arktype: clientStream({ input: type({ n: "number" }), output: type({ sum: "number" }) }),
  bidi: bidiStream({ input: z.string(), output: z.object({ at: z.number(), text: z.string() }) }),
  nothing: unary({ input: z.object({}), output: z.void() }),
});

type C = Client<typeof Everything>;
type I = Implementation<typeof Everything>;

// What a client passes is the input before defaults, what a handler gets is after.
yes<Equal<Parameters<C["zod"]>[1], { a: number; b?: string | undefined }>>();
yes<Equal<Parameters<I["zod"]>[1], { a: number; b: string }>>();
yes<Equal<Awaited<ReturnType<C["zod"]>>, { v: number }>>();
yes<Equal<ReturnType<I["zod"]>, Promise<{ v: number }> | { v: number }>>();
yes<Equal<ReturnType<C["valibot"]>, AsyncIterable<{ n: number }>>>();
yes<Equal<ReturnType<I["valibot"]>, AsyncIterable<{ n: number }>>>();
yes<Equal<Parameters<I["valibot"]>[1], { to: number }>>();
yes<Equal<Parameters<C["arktype"]>[1], AsyncIterable<{ n: number }>>>();
yes<Equal<Parameters<I["arktype"]>[1], AsyncIterable<{ n: number }>>>();
yes<Equal<Awaited<ReturnType<C["arktype"]>>, { sum: number }>>();
yes<Equal<Parameters<C["bidi"]>, [ctx: Context, requests: AsyncIterable<string>]>>();
yes<Equal<ReturnType<C["bidi"]>, AsyncIterable<{ at: number; text: string }>>>();
yes<Equal<Awaited<ReturnType<C["nothing"]>>, void>>();

// The messages of a method by name: one each of a stream, after validation.
yes<Equal<RequestOf<typeof Everything, "zod">, { a: number; b: string }>>();
yes<Equal<RequestOf<typeof Everything, "bidi">, string>>();
yes<Equal<ReplyOf<typeof Everything, "valibot">, { n: number }>>();
yes<Equal<ReplyOf<typeof Everything, "nothing">, void>>();
// @ts-expect-error: no such method
yes<Equal<RequestOf<typeof Everything, "other">, never>>();

/** No part of a client or implementation is `any`. */
type AnyIn<T> = {
  [K in keyof T]: T[K] extends (ctx: infer X, request: infer Q) => infer R
    ? [IsAny<X>, IsAny<Q>, IsAny<R>, IsAny<Awaited<R>>][number]
    : IsAny<T[K]>;
}[keyof T];
yes<Equal<AnyIn<C>, false>>();
yes<Equal<AnyIn<I>, false>>();

// A class implements it, with parameter types inferred or written out.
export class Good implements Implementation<typeof Everything> {
  async zod(_ctx: Context, { a, b }: { a: number; b: string }) {
    return { v: a + b.length };
  }
  async *valibot(_ctx: Context, { to }: { to: number }) {
    for (let n = 0; n < to; n++) yield { n };
  }
  async arktype(_ctx: Context, requests: AsyncIterable<{ n: number }>) {
    let sum = 0;
    for await (const { n } of requests) sum += n;
    return { sum };
  }
  async *bidi(_ctx: Context, requests: AsyncIterable<string>) {
    for await (const text of requests) yield { at: 0, text };
  }
  nothing() {}
}

// An object literal needs no types at all.
export const literal: Implementation<typeof Everything> = {
  zod: (_ctx, { a, b }) => ({ v: a + b.length }),
  async *valibot(_ctx, { to }) {
    yield { n: to };
  },
  async arktype(_ctx, requests) {
    let sum = 0;
    for await (const { n } of requests) sum += n;
    return { sum };
  },
  async *bidi(_ctx, requests) {
    for await (const text of requests) yield { at: text.length, text };
  },
  nothing: () => {},
};

export class WrongReturn implements Implementation<typeof Everything> {
  // @ts-expect-error: v is a number; the error is on this method, not on the class
  async zod() {
    return { v: "1" };
  }
  // @ts-expect-error: not a stream
  async valibot() {
    return { n: 1 };
  }
  // @ts-expect-error: the requests are a stream
  async arktype(_ctx: Context, { n }: { n: number }) {
    return { sum: n };
  }
  async *bidi() {
    yield { at: 1, text: "" };
  }
  nothing() {}
}

// @ts-expect-error: bidi is missing
export class Missing implements Implementation<typeof Everything> {
  zod = literal.zod;
  valibot = literal.valibot;
  arktype = literal.arktype;
  nothing() {}
}

export const wrongLiteral: Implementation<typeof Everything> = {
  ...literal,
  zod: () => ({
    // @ts-expect-error: v is a number; the error is on this property
    v: "1",
  }),
};

declare const client: C;
export async function calls(): Promise<void> {
  await client.zod(ctx, { a: 1 });
  // @ts-expect-error: a is a number
  await client.zod(ctx, { a: "1" });
  // @ts-expect-error: no such method
  client.other(ctx, {});
  // @ts-expect-error: the context comes first
  await client.zod({ a: 1 });
  for await (const { n } of client.valibot(ctx, { to: 1 })) yes<Equal<typeof n, number>>();
  // @ts-expect-error: a stream is read, not awaited for its message
  (await client.valibot(ctx, { to: 1 })).n;
}

// The label of a failure is a function of the response.
unary({
  input: z.object({}),
  output: z.object({ v: z.number() }),
  // @ts-expect-error: there is no w in the response
  failed: ({ w }) => w,
});

// @ts-expect-error: streams have no REST route
serverStream({ input: z.object({}), output: z.object({}), rest: "GET /x" });

// @ts-expect-error: not a Standard Schema
unary({ input: { a: 1 }, output: z.object({}) });
