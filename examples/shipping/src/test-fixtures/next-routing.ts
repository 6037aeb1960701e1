import { contract, unary } from "flotilla/contract";
import { z } from "zod";
import { instant, legs, unLocode } from "../kernel/wire.ts";
import { Routing } from "../routing/contract.ts";

const preference = z.enum(["fast", "cheap"]);

/** The next version of the contract: what it asks and answers more, those of today neither send nor know. */
export const NextRouting = contract(Routing.name, {
  ...Routing.spec,
  routes: unary({
    input: z.object({
      origin: unLocode,
      destination: unLocode,
      deadline: instant,
      limit: z.int().min(1).max(10).default(5),
      preference: preference.optional(),
    }),
    output: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("routes"), routes: z.array(legs), preference: preference.optional() }),
      z.object({ kind: z.literal("unknown-location"), location: z.string() }),
    ]),
    idempotent: true,
  }),
});
