import { contract, unary } from "flotilla/contract";
import { openapi } from "flotilla/openapi";
import { implement } from "flotilla/service";
import { z } from "zod";

const Profile = z.object({ id: z.string(), name: z.string(), full: z.boolean().optional() });

const Profiles = contract("people.v1.Profiles", {
  get: unary({
    input: z.object({ id: z.string(), full: z.boolean().default(false) }),
    output: Profile,
    rest: "GET /profiles/{id}",
  }),
  add: unary({ input: Profile.omit({ full: true }), output: Profile, rest: { route: "POST /profiles", status: 201 } }),
  drop: unary({ input: z.object({ id: z.string() }), output: z.void(), rest: "DELETE /profiles/{id}" }),
});

export const profiles = implement(Profiles, {
  get: (_ctx, { id, full }) => ({ id, name: "Ada", full }),
  add: (_ctx, profile) => profile,
  drop: () => {},
});

export const document = openapi([Profiles], { title: "People", version: "1.0.0" });
