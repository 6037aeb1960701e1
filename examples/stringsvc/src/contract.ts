import { contract, unary } from "flotilla/contract";
import { z } from "zod";

export const Strings = contract("strings.v1.Strings", {
  uppercase: unary({
    input: z.object({ s: z.string().min(1) }),
    output: z.object({ v: z.string() }),
    safe: true,
  }),
  count: unary({ input: z.object({ s: z.string() }), output: z.object({ v: z.int() }), rest: "GET /count/{s}" }),
});
