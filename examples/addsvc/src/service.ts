import type { Implementation } from "flotilla/contract";
import { errorInfo, ServiceError } from "flotilla/errors";
import type { Adder } from "./contract.ts";

const MAX_INT32 = 2 ** 31 - 1;
const MAX_LENGTH = 10;

/** A refusal with a reason that programs can read. */
function refuse(code: "invalid_argument" | "out_of_range", reason: string, message: string): never {
  throw new ServiceError(code, message, { details: [errorInfo({ reason, domain: "addsvc.example" })] });
}

function add(a: number, b: number): number {
  const v = a + b;
  if (v > MAX_INT32 || v < -MAX_INT32 - 1)
    refuse("out_of_range", "INT_OVERFLOW", `${a} + ${b} is more than 32 bits hold`);
  return v;
}

/** What the service does. It knows of no transport. */
export const adder: Implementation<typeof Adder> = {
  sum(_ctx, { a, b }) {
    if (a === 0 && b === 0) refuse("invalid_argument", "TWO_ZEROES", "can't sum two zeroes");
    return { v: add(a, b) };
  },
  concat(_ctx, { a, b }) {
    const v = a + b;
    if (v.length > MAX_LENGTH) refuse("out_of_range", "MAX_SIZE_EXCEEDED", `the result is longer than ${MAX_LENGTH}`);
    return { v };
  },
  async *totals(_ctx, { numbers }) {
    let v = 0;
    for (const number of numbers) yield { v: (v = add(v, number)) };
  },
};
