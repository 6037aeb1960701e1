import { bidiStream, clientStream, contract, serverStream, unary } from "flotilla/contract";
import { z } from "zod";

export const Parcels = contract("post.v1.Parcels", {
  send: unary({
    input: z.object({ to: z.string().min(1), grams: z.int().positive() }),
    output: z.object({ id: z.string() }),
  }),
  follow: serverStream({
    input: z.object({ id: z.string(), after: z.int().default(0) }),
    output: z.object({ step: z.int(), place: z.string() }),
    safe: true,
  }),
  weigh: clientStream({ input: z.object({ grams: z.int() }), output: z.object({ grams: z.int() }) }),
  sort: bidiStream({ input: z.object({ id: z.string() }), output: z.object({ id: z.string(), chute: z.int() }) }),
});
