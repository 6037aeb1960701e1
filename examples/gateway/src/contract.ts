import { Profile } from "@flotilla-examples/profilesvc/contract";
import { contract, unary } from "flotilla/contract";
import { z } from "zod";

/** What the outside sees: REST only, put together from the services behind it. */
export const Gateway = contract("gateway.v1.Gateway", {
  signUp: unary({
    input: z.object({ id: z.string().min(1).max(64), name: z.string().min(1).max(200) }),
    output: Profile,
    rest: { route: "POST /people", status: 201 },
    doc: "Adds a person.",
  }),
  badge: unary({
    input: z.object({ id: z.string().min(1) }),
    output: z.object({ badge: z.string(), letters: z.int() }),
    rest: "GET /people/{id}/badge",
    doc: "The person's name in capitals, and its length: one call to profiles, then two to strings at once.",
  }),
});
