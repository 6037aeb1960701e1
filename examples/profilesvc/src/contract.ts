import { contract, unary } from "flotilla/contract";
import { z } from "zod";

export const Address = z.object({ id: z.string().min(1), location: z.string().min(1).max(200) });

export const Profile = z.object({
  id: z.string().min(1).max(64),
  name: z.string().min(1).max(200),
  addresses: z.array(Address).max(20),
});

const Key = Profile.pick({ id: true });
const NewProfile = Profile.extend({ addresses: Profile.shape.addresses.default([]) });

export const Profiles = contract(
  "profiles.v1.Profiles",
  {
    create: unary({
      input: NewProfile,
      output: Profile,
      rest: { route: "POST /profiles", status: 201 },
      doc: "Adds a profile. `already_exists` when the id is taken.",
    }),
    get: unary({ input: Key, output: Profile, rest: "GET /profiles/{id}", doc: "One profile, or `not_found`." }),
    list: unary({
      input: z.object({ after: z.string().default(""), limit: z.int().min(1).max(100).default(20) }),
      output: z.object({ profiles: z.array(Profile), next: z.string().optional() }),
      rest: "GET /profiles",
      doc: "A page of profiles ordered by id; `next` goes into `after` for the following page.",
    }),
    put: unary({ input: NewProfile, output: Profile, rest: "PUT /profiles/{id}", doc: "Adds or replaces a profile." }),
    patch: unary({
      input: Key.extend(Profile.omit({ id: true }).partial().shape),
      output: Profile,
      rest: "PATCH /profiles/{id}",
      doc: "Changes the fields given, or `not_found`.",
    }),
    remove: unary({
      input: Key,
      output: z.void(),
      rest: "DELETE /profiles/{id}",
      doc: "Removes a profile if there is one.",
    }),
  },
  { doc: "Profiles of people and their addresses." },
);

export type Profile = z.infer<typeof Profile>;
