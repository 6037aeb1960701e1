import { contract, serverStream, unary } from "flotilla/contract";
import { z } from "zod";

/** What a test asks of a process that was started for it: to be slow, and to tell what it did. */
export const Probe = contract("shipping.test.v1.Probe", {
  hang: unary({
    input: z.object({}),
    output: z.object({}),
    idempotent: true,
    doc: "Is answered by its deadline only.",
  }),
  flood: serverStream({
    input: z.object({ bytes: z.int().min(1) }),
    output: z.object({ n: z.int(), load: z.string() }),
    doc: "Messages without end, of so many bytes.",
  }),
  state: unary({
    input: z.object({}),
    output: z.object({
      /** Calls of `hang` that have begun, and those that have ended. */
      hung: z.int(),
      cancelled: z.int(),
      /** Messages that `flood` has made, and floods that go on. */
      made: z.int(),
      floods: z.int(),
      /** Memory of the process, bytes. */
      memory: z.int(),
    }),
  }),
});
