import { contract, type Schema, unary } from "flotilla/contract";

/** A message of the contracts here. */
export interface Cargo {
  readonly n: number;
  readonly text?: string;
}

const cargo: Schema<Cargo> = {
  "~standard": {
    version: 1,
    vendor: "flotilla",
    validate(value) {
      const { n, text } = (value ?? {}) as Partial<Cargo>;
      if (typeof n !== "number") return { issues: [{ message: "expected a number", path: ["n"] }] };
      return { value: { n, ...(text !== undefined && { text }) } };
    },
  },
};

/** One-way messages. */
export const CargoEvents = contract("cargo.v1.CargoEvents", {
  booked: unary({ input: cargo, output: cargo }),
  lost: unary({ input: cargo, output: cargo }),
});

/** Calls. */
export const Tracking = contract("cargo.v1.Tracking", {
  find: unary({ input: cargo, output: cargo, idempotent: true }),
  book: unary({ input: cargo, output: cargo }),
});
