import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as v from "valibot";
import { z } from "zod";
import type { Context } from "../context/context.ts";
import { background } from "../context/with.ts";
import { contract, type Implementation } from "../contract/contract.ts";
import { bidiStream, clientStream, serverStream, unary } from "../contract/method.ts";
import type { Endpoint, Middleware } from "../endpoint/endpoint.ts";
import { type BadRequest, detailTypes, findDetail } from "../errors/details.ts";
import { ServiceError } from "../errors/service-error.ts";
import { failureOf, readAll, streamOf } from "../testing/transport-bed.ts";
import { type ImplementOptions, implement } from "./implement.ts";

const item = z.object({ sku: z.string().min(1), count: z.int().positive().default(1) });
const Shop = contract("shop.v1.Shop", {
  order: unary({ input: z.object({ items: z.array(item) }), output: z.object({ total: z.number() }) }),
  watch: serverStream({ input: item, output: item }),
  load: clientStream({ input: item, output: z.object({ total: z.number() }) }),
  chat: bidiStream({ input: item, output: item }),
});
type ShopService = Implementation<typeof Shop>;

const quiet: ShopService = {
  order: () => ({ total: 0 }),
  watch: () => streamOf([]),
  load: async () => ({ total: 0 }),
  chat: () => streamOf([]),
};
const ctx = background();

function endpoint(
  key: keyof ShopService,
  methods: Partial<ShopService>,
  options: ImplementOptions = {},
): Endpoint<unknown, never> {
  const { methods: bound } = implement(Shop, { ...quiet, ...methods }, options);
  return bound.find(({ info }) => info.key === key)!.endpoint as Endpoint<unknown, never>;
}

const violationsOf = (error: ServiceError): unknown =>
  findDetail<BadRequest>(error, detailTypes.badRequest)?.fieldViolations;

describe("requests", () => {
  test("each thing wrong is told by field, in message and detail, and the handler is not called", async () => {
    const order = endpoint("order", { order: () => assert.fail("called") });
    const error = await failureOf(order(ctx, { items: [{ sku: "a" }, { sku: "", count: 0.5 }] }));
    assert.equal(error.code, "invalid_argument");
    assert.deepEqual(
      (violationsOf(error) as { field: string }[]).map(({ field }) => field),
      ["items[1].sku", "items[1].count"],
    );
    assert.match(error.message, /^invalid request to shop\.v1\.Shop\/order: items\[1\]\.sku: .+; items\[1\]\.count: /);
  });

  test("the handler gets what the schema made of the request", async () => {
    const order = endpoint("order", { order: (_ctx, { items }) => ({ total: items[0]!.count }) });
    assert.deepEqual(await order(ctx, { items: [{ sku: "a", surplus: true }] }), { total: 1 });
  });

  test("a stream of requests is checked message by message: those before the bad one are seen", async () => {
    const seen: string[] = [];
    const load = endpoint("load", {
      async load(_ctx, requests) {
        for await (const { sku } of requests) seen.push(sku);
        return { total: 0 };
      },
    });
    let closed = false;
    const requests = async function* (): AsyncGenerator<object> {
      try {
        yield { sku: "a" };
        yield { sku: 7 };
        assert.fail("read on");
      } finally {
        closed = true;
      }
    };
    const error = await failureOf(load(ctx, requests()));
    assert.equal(error.code, "invalid_argument");
    assert.deepEqual(
      (violationsOf(error) as { field: string }[]).map(({ field }) => field),
      ["sku"],
    );
    assert.deepEqual(seen, ["a"]);
    assert.equal(closed, true);
  });

  test("asynchronous validators are waited for", async () => {
    const known = new Set(["a"]);
    const sku = v.pipeAsync(
      v.string(),
      v.checkAsync(async (value) => known.has(value), "no such article"),
    );
    const Stock = contract("shop.v1.Stock", {
      has: unary({ input: v.objectAsync({ sku }), output: z.object({ ok: z.boolean() }) }),
    });
    const [has] = implement(Stock, { has: () => ({ ok: true }) }).methods;
    assert.deepEqual(await has!.endpoint(ctx, { sku: "a" }), { ok: true });
    const error = await failureOf(has!.endpoint(ctx, { sku: "b" }));
    assert.deepEqual(violationsOf(error), [{ field: "sku", description: "no such article" }]);
  });

  test("a validator that throws is the server's own failure", async () => {
    const input = z.object({}).refine(() => {
      throw new Error("validator broke");
    });
    const Broken = contract("shop.v1.Broken", { call: unary({ input, output: z.object({}) }) });
    const [call] = implement(Broken, { call: () => ({}) }).methods;
    await assert.rejects(call!.endpoint(ctx, {}), /validator broke/);
  });
});

describe("responses", () => {
  const wrong = { total: "1" } as unknown as { total: number };

  test("one that contradicts the contract fails as internal; what is wrong stays in the cause", async () => {
    const order = endpoint("order", { order: () => wrong }, { validateOutput: true });
    const error = await failureOf(order(ctx, { items: [] }));
    assert.equal(error.code, "internal");
    assert.equal(error.message, "internal error");
    assert.match((error.cause as Error).message, /shop\.v1\.Shop\/order returned .* contract: total: /);
  });

  test("they are checked in development and not in production, unless said otherwise", async () => {
    const before = process.env["NODE_ENV"];
    try {
      process.env["NODE_ENV"] = "production";
      const trusting = endpoint("order", { order: () => wrong });
      assert.deepEqual(await trusting(ctx, { items: [] }), wrong);
      const asked = endpoint("order", { order: () => wrong }, { validateOutput: true });
      assert.equal((await failureOf(asked(ctx, { items: [] }))).code, "internal");
      process.env["NODE_ENV"] = "development";
      const checking = endpoint("order", { order: () => wrong });
      process.env["NODE_ENV"] = "production";
      assert.equal((await failureOf(checking(ctx, { items: [] }))).code, "internal");
    } finally {
      if (before === undefined) delete process.env["NODE_ENV"];
      else process.env["NODE_ENV"] = before;
    }
  });

  test("they are checked, not changed", async () => {
    const response = { total: 1, surplus: true };
    const order = endpoint("order", { order: () => response }, { validateOutput: true });
    assert.equal(await order(ctx, { items: [] }), response);
  });

  test("a stream of responses is checked message by message, and its handler closed at the bad one", async () => {
    let closed = false;
    const chat = endpoint(
      "chat",
      {
        async *chat() {
          try {
            yield { sku: "a", count: 1 };
            yield { sku: "" };
            assert.fail("read on");
          } finally {
            closed = true;
          }
        },
      },
      { validateOutput: true },
    );
    const got: unknown[] = [];
    const error = await failureOf(
      (async () => {
        for await (const message of (await chat(ctx, streamOf([]))) as AsyncIterable<unknown>) got.push(message);
      })(),
    );
    assert.equal(error.code, "internal");
    assert.deepEqual(got, [{ sku: "a", count: 1 }]);
    assert.equal(closed, true);
  });
});

describe("the implementation", () => {
  test("may be a class: methods find their fields, private ones too", async () => {
    class Counter implements ShopService {
      #orders = 0;
      readonly step = 5;

      order(): { total: number } {
        this.#orders += this.step;
        return { total: this.#orders };
      }

      async *watch(): AsyncGenerator<{ sku: string }> {
        yield { sku: `after ${this.#orders}` };
      }

      async load(): Promise<{ total: number }> {
        return { total: this.#orders };
      }

      chat = (): AsyncGenerator<{ sku: string }> => this.watch();
    }
    const bound = implement(Shop, new Counter()).methods;
    const call = (index: number, request: unknown): Promise<unknown> => bound[index]!.endpoint(ctx, request);
    assert.deepEqual(await call(0, { items: [] }), { total: 5 });
    assert.deepEqual(await readAll((await call(1, { sku: "a" })) as AsyncIterable<unknown>), [{ sku: "after 5" }]);
    assert.deepEqual(await call(2, streamOf([])), { total: 5 });
    assert.deepEqual(await readAll((await call(3, streamOf([]))) as AsyncIterable<unknown>), [{ sku: "after 5" }]);
  });

  test("must have every method, by the contract's own key; what every object inherits does not count", () => {
    const { watch: _, ...rest } = quiet;
    assert.throws(() => implement(Shop, rest as ShopService), {
      name: "TypeError",
      message: 'implement: the implementation of shop.v1.Shop has no method "watch"',
    });
    const Odd = contract("shop.v1.Odd", { toString: unary({ input: z.object({}), output: z.object({}) }) });
    assert.throws(() => implement(Odd, {} as never), /has no method "toString"/);
  });

  test("what it throws, at once or later, rejects", async () => {
    const own = new ServiceError("not_found", "no such order");
    const sync = endpoint("order", {
      order: () => {
        throw own;
      },
    });
    await assert.rejects(sync(ctx, { items: [] }), (error) => error === own);
    const later = endpoint("order", { order: () => Promise.reject(own) }, { validateOutput: false });
    await assert.rejects(later(ctx, { items: [] }), (error) => error === own);
  });
});

describe("middlewares", () => {
  const tracing =
    (name: string, into: string[]): Middleware =>
    (next, method) =>
      async function traced(inner: Context, request) {
        into.push(`${name} ${method.name}`);
        try {
          return await next(inner, request);
        } finally {
          into.push(`/${name}`);
        }
      };

  test("the first is the outermost; they run before validation and see its error", async () => {
    const steps: string[] = [];
    const order = endpoint("order", {}, { use: [tracing("a", steps), tracing("b", steps)] });
    assert.equal((await failureOf(order(ctx, {}))).code, "invalid_argument");
    assert.deepEqual(steps, ["a order", "b order", "/b", "/a"]);
  });

  test("each is applied once a method, before any call", () => {
    const applied: string[] = [];
    const counting: Middleware = (next, { key }) => {
      applied.push(key);
      return next;
    };
    implement(Shop, quiet, { use: [counting] });
    assert.deepEqual(applied, ["order", "watch", "load", "chat"]);
  });
});
