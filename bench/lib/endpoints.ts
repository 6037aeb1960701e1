import { setImmediate } from "node:timers/promises";
import type { Context } from "flotilla/context";
import type { Endpoint, MethodInfo } from "flotilla/endpoint";
import { Calculator } from "./calculator.ts";
import type { Loop } from "./worker.ts";

/** The method that middlewares are applied to. */
export const sumMethod: MethodInfo = Calculator.methods[0] ?? missing();

/** The same method, as one that may be repeated. */
export const idempotentSum: MethodInfo = { ...sumMethod, idempotent: true };

function missing(): never {
  throw new Error("the contract of the bench has no method");
}

interface Sum {
  a: number;
  b: number;
}

export const sumEndpoint: Endpoint<Sum, { v: number }> = async (_ctx, { a, b }) => ({ v: a + b });

/** How often the event loop is given a turn, milliseconds: a loop that does not come round is overloaded, and a limit would hold calls back. */
const TURN_MS = 2;
const LOOK_EVERY = 64;

/** Calls the endpoint one call after the other, each with a request of its own. */
export function callInTurn(endpoint: Endpoint<Sum, { v: number }>, ctx: Context): Loop {
  return async (iterations) => {
    let total = 0;
    let turnMs = performance.now() + TURN_MS;
    for (let i = 0; i < iterations; i++) {
      total += (await endpoint(ctx, { a: i, b: 1 })).v;
      if (i % LOOK_EVERY === 0 && performance.now() >= turnMs) {
        await setImmediate();
        turnMs = performance.now() + TURN_MS;
      }
    }
    return total;
  };
}
