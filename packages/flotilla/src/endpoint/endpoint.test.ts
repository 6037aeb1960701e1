import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Context } from "../context/context.ts";
import { background } from "../context/with.ts";
import { ServiceError } from "../errors/service-error.ts";
import { chain, type Endpoint, type Middleware } from "./endpoint.ts";
import type { MethodInfo } from "./method-info.ts";

const method = { service: "calc.v1.Calculator", name: "sum", procedure: "calc.v1.Calculator/sum" } as MethodInfo;
const ctx = background();
const double: Endpoint<number, number> = async function double(_ctx: Context, request: number) {
  return request * 2;
};

describe("chain", () => {
  test("the first is the outermost: it sees the request first and the response last", async () => {
    const log: string[] = [];
    const named =
      (name: string): Middleware =>
      (next) =>
        async function logging(ctx, request) {
          log.push(`${name} in`);
          const response = await next(ctx, request);
          log.push(`${name} out`);
          return response;
        };
    const endpoint = chain(named("a"), named("b"), named("c"))(double, method);
    assert.equal(await endpoint(ctx, 21), 42);
    assert.deepEqual(log, ["a in", "b in", "c in", "c out", "b out", "a out"]);
  });

  test("a middleware is applied once and told the method then, not per call", async () => {
    const told: MethodInfo[] = [];
    const counting: Middleware = (next, info) => {
      told.push(info);
      return (ctx, request) => next(ctx, request);
    };
    const endpoint = chain(counting, counting)(double, method);
    assert.deepEqual(told, [method, method]);
    for (let i = 0; i < 5; i++) await endpoint(ctx, i);
    assert.equal(told.length, 2);
  });

  test("of none is the endpoint itself", () => {
    assert.equal(chain()(double, method), double);
  });

  test("of chains is one chain, and the list given may change afterwards", async () => {
    const order: number[] = [];
    const list = [1, 2, 3].map(
      (n): Middleware =>
        (next) =>
        (ctx, request) => {
          order.push(n);
          return next(ctx, request);
        },
    );
    const nested = chain(list[0]!, chain(list[1]!, list[2]!));
    list.length = 0;
    await nested(double, method)(ctx, 1);
    assert.deepEqual(order, [1, 2, 3]);
  });

  test("adds no promise of its own: what the endpoint returns is returned", () => {
    const promise = Promise.resolve(1);
    const pass: Middleware = (next) => (ctx, request) => next(ctx, request);
    assert.equal(chain(pass, pass)(() => promise, method)(ctx, 0), promise);
  });

  test("a middleware may answer by itself, change the request, and turn a failure into another", async () => {
    const failing: Endpoint<number, number> = async () => {
      throw new Error("inner");
    };
    const wrap: Middleware = (next) => async (ctx, request) => {
      try {
        return await next(ctx, request);
      } catch (cause) {
        throw new Error("outer", { cause });
      }
    };
    await assert.rejects(chain(wrap)(failing, method)(ctx, 1), { message: "outer" });
    const never: Middleware = () => () => Promise.resolve("cached" as never);
    assert.equal(await chain(never)(failing, method)(ctx, 1), "cached");
  });

  test("named functions make the stack trace read as the stack of concerns", async () => {
    const timeout: Middleware = (next) =>
      async function timeout(ctx, request) {
        return await next(ctx, request);
      };
    const retry: Middleware = (next) =>
      async function retry(ctx, request) {
        return await next(ctx, request);
      };
    const handler: Endpoint<number, number> = async function handler() {
      await Promise.resolve();
      throw new Error("from the handler");
    };
    const error = await chain(timeout, retry)(handler, method)(ctx, 1).then(
      () => assert.fail(),
      (error: unknown) => error as Error,
    );
    const names = [...error.stack!.matchAll(/at (?:async )?(\w+)/g)].map(([, name]) => name);
    assert.deepEqual(names.slice(0, 3), ["handler", "retry", "timeout"]);
  });

  test("a chain refuses what one of its middlewares would, the outermost first; without any it has nothing to ask", () => {
    const pass: Middleware = (next) => next;
    const refusing = (message: string): Middleware =>
      Object.assign(<Req, Res>(next: Endpoint<Req, Res>) => next, {
        refuses: (_ctx: Context, info: MethodInfo) =>
          info === method ? new ServiceError("unavailable", message) : undefined,
      });
    assert.equal(chain(pass, pass).refuses, undefined);
    const both = chain(pass, refusing("outer"), chain(refusing("inner")));
    assert.equal(both.refuses!(ctx, method)!.message, "outer");
    assert.equal(both.refuses!(ctx, { ...method }), undefined);
  });
});
