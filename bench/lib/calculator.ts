import { contract, unary } from "flotilla/contract";
import { z } from "zod";

/** The contract of the flotilla rows, served and called. */
export const Calculator = contract("calc.v1.Calculator", {
  sum: unary({
    input: z.object({ a: z.number(), b: z.number() }),
    output: z.object({ v: z.number() }),
    idempotent: true,
  }),
});
