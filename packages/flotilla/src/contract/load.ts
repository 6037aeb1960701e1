import { contract } from "./contract.ts";
import { unary } from "./method.ts";
import type { Schema } from "./schema.ts";

const nothing: Schema<object> = {
  "~standard": {
    version: 1,
    vendor: "flotilla",
    validate: (value) =>
      typeof value === "object" && value !== null ? { value } : { issues: [{ message: "expected an object" }] },
  },
};

/**
 * Asks an instance how busy it is; the answer says so in the header `endpoint-load-metrics`, as those of all other calls do. Hosts with
 * `loadReporting()` serve it, balancers that probe call it.
 */
export const Load = contract("flotilla.balance.v1.Load", {
  report: unary({ input: nothing, output: nothing, safe: true }),
});
