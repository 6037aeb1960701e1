import { z } from "zod";
import type { Context } from "../../../context/context.ts";
import { afterFunc } from "../../../context/with.ts";
import { contract, type Implementation } from "../../../contract/contract.ts";
import { bidiStream, clientStream, serverStream, unary } from "../../../contract/method.ts";
import type { Code } from "../../../errors/code.ts";
import { errorInfo } from "../../../errors/details.ts";
import { ServiceError } from "../../../errors/service-error.ts";

const text = z.object({ text: z.string() });
const number = z.object({ n: z.number() });
const cargo = z.object({
  id: z.string(),
  tons: z.number().optional(),
  fragile: z.boolean().optional(),
  tags: z.array(z.string()).optional(),
  weights: z.array(z.number()).optional(),
  note: z.string().optional(),
});

/** A contract with everything HTTP can carry: the four kinds, and REST routes of each sort. */
export const Freight = contract("test.v1.Freight", {
  sum: unary({ input: z.object({ a: z.number(), b: z.number() }), output: z.object({ v: z.number() }), safe: true }),
  echo: unary({ input: text, output: text }),
  /** Idempotent, but not safe: no GET. */
  mark: unary({ input: text, output: text, idempotent: true, safe: false }),
  fail: unary({ input: z.object({ code: z.string(), message: z.string().default("as asked") }), output: text }),
  hang: unary({ input: z.object({}), output: text }),
  brief: unary({ input: z.object({}), output: text, timeoutMs: 80 }),
  count: serverStream({ input: z.object({ to: z.number(), failAfter: z.number().optional() }), output: number }),
  total: clientStream({ input: number, output: z.object({ sum: z.number(), count: z.number() }) }),
  chat: bidiStream({ input: text, output: text }),
  getCargo: unary({ input: cargo, output: cargo, rest: "GET /cargos/{id}" }),
  latestCargo: unary({ input: z.object({}), output: cargo, rest: "GET /cargos/latest" }),
  bookCargo: unary({ input: cargo, output: cargo, rest: { route: "POST /cargos", status: 201 } }),
  expressCargo: unary({ input: text, output: text, rest: "POST /cargos/express" }),
  putCargo: unary({ input: cargo, output: cargo, rest: "PUT /cargos/{id}" }),
  dropCargo: unary({ input: z.object({ id: z.string() }), output: z.void(), rest: "DELETE /cargos/{id}" }),
  root: unary({ input: z.object({}), output: text, rest: "GET /" }),
});

/** Resolves when the context is done. */
export function done(ctx: Context): Promise<void> {
  return new Promise((resolve) => void afterFunc(ctx, resolve));
}

/** The freight service as most tests need it. */
export function freight(): Implementation<typeof Freight> {
  return {
    sum: (_ctx, { a, b }) => ({ v: a + b }),
    echo: (_ctx, request) => request,
    mark: (_ctx, request) => request,
    fail(_ctx, { code, message }) {
      if (code === "plain") throw new Error(message);
      throw new ServiceError(code as Code, message, {
        details: [errorInfo({ reason: "ASKED", domain: "freight.example" })],
        metadata: { "x-reason": "asked" },
      });
    },
    async hang(ctx) {
      await done(ctx);
      throw ctx.err!;
    },
    brief: () => new Promise(() => {}),
    async *count(_ctx, { to, failAfter = Infinity }) {
      for (let n = 1; n <= to; n++) {
        if (n > failAfter) throw new ServiceError("resource_exhausted", `no more than ${failAfter}`);
        yield { n };
      }
    },
    async total(_ctx, requests) {
      let sum = 0;
      let count = 0;
      for await (const { n } of requests) {
        sum += n;
        count++;
      }
      return { sum, count };
    },
    async *chat(_ctx, requests) {
      for await (const { text: said } of requests) yield { text: said.toUpperCase() };
    },
    getCargo: (_ctx, request) => request,
    latestCargo: () => ({ id: "latest" }),
    bookCargo: (_ctx, request) => request,
    expressCargo: (_ctx, request) => request,
    putCargo: (_ctx, request) => request,
    dropCargo: () => undefined,
    root: () => ({ text: "root" }),
  };
}
