import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Context } from "../context/context.ts";
import { background, remainingMs, withTimeout } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { serverStream, unary } from "../contract/method.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { deadline } from "./deadline.ts";

const any = z.object({});
const { methods } = contract("a.B", {
  plain: unary({ input: any, output: any }),
  own: unary({ input: any, output: any, timeoutMs: 50 }),
  stream: serverStream({ input: any, output: any, timeoutMs: 50 }),
});
const [plain, own, stream] = methods as [(typeof methods)[0], (typeof methods)[0], (typeof methods)[0]];
const ctx = background(new VirtualClock());
const left: Endpoint<unknown, number> = async (inner) => remainingMs(inner);

test("the earliest counts: the caller's, the method's own, else that given", async () => {
  assert.equal(await deadline(300)(left, plain)(ctx, {}), 300);
  assert.equal(await deadline(300)(left, own)(ctx, {}), 50);
  assert.equal(await deadline(20)(left, own)(ctx, {}), 50);
  assert.equal(await deadline(300)(left, plain)(withTimeout(ctx, 10), {}), 10);
});

test("streams keep the caller's", () => {
  assert.equal(deadline(300)(left, stream), left);
});

test("the context is done when the call is, well or not", async () => {
  let seen: Context | undefined;
  const keep: Endpoint = async (inner, request) => {
    seen = inner;
    if (request === "fail") throw new Error("failed");
  };
  await deadline(300)(keep, plain)(ctx, {});
  assert.equal(seen?.err?.code, "canceled");
  await assert.rejects(deadline(300)(keep, plain)(ctx, "fail"), /failed/);
  assert.equal(seen?.err?.code, "canceled");
});

test("options that are not legal are refused", () => {
  assert.throws(() => deadline(0), /deadline: timeoutMs must be above 0, got 0/);
  assert.throws(() => deadline(Number.NaN), /timeoutMs/);
});
