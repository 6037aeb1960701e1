import type { Context } from "flotilla/context";
import type { Endpoint, MessageType, MethodInfo } from "flotilla/endpoint";
import type { Loop } from "./worker.ts";

const anything: MessageType = {
  typeName: undefined,
  validate: (value) => ({ value }),
  fromJson: (text) => JSON.parse(text),
  toJson: (message) => JSON.stringify(message),
  binary: undefined,
  jsonSchema: () => undefined,
};

/** A method for middlewares that are applied outside of any contract. */
export const sumMethod: MethodInfo = {
  service: "calc.v1.Calculator",
  name: "sum",
  procedure: "calc.v1.Calculator/sum",
  key: "sum",
  kind: "unary",
  idempotent: true,
  timeoutMs: undefined,
  input: anything,
  output: anything,
  rest: undefined,
  doc: undefined,
  failed: undefined,
};

interface Sum {
  a: number;
  b: number;
}

export const sumEndpoint: Endpoint<Sum, { v: number }> = async (_ctx, { a, b }) => ({ v: a + b });

/** Calls the endpoint one call after the other, each with a request of its own. */
export function callInTurn(endpoint: Endpoint<Sum, { v: number }>, ctx: Context): Loop {
  return async (iterations) => {
    let total = 0;
    for (let i = 0; i < iterations; i++) total += (await endpoint(ctx, { a: i, b: 1 })).v;
    return total;
  };
}
