import { contract, unary } from "flotilla/contract";
import { anything } from "./bed.ts";

/** One-way messages. */
export const Jobs = contract("test.v1.Jobs", {
  run: unary({ input: anything<{ n: number }>(), output: anything<object>(), idempotent: true }),
});
