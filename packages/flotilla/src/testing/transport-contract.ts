import type { ContractTest } from "./balancer-contract.ts";
import type { TransportUnderTest } from "./transport-bed.ts";
import { callTests } from "./transport-calls.ts";
import { cutTests } from "./transport-cuts.ts";
import { endTests } from "./transport-ends.ts";
import { errorTests } from "./transport-errors.ts";
import { leavingTests } from "./transport-leaving.ts";
import { lifeTests } from "./transport-life.ts";
import { limitTests } from "./transport-limits.ts";
import { lossTests } from "./transport-losses.ts";
import { metadataTests } from "./transport-metadata.ts";
import { paceTests } from "./transport-pace.ts";

/**
 * What every transport must do: the four kinds of method (of those without streams, unary only), deadline and cancellation both ways, errors, metadata, backpressure,
 * limits of messages, lost connections and shutdown. Each test serves and calls a contract of its own through the real stack, on the system's clock, and
 * closes everything afterwards.
 *
 * ```ts
 * for (const { name, run } of transportContract({ listener: () => http(), connector: () => httpClient() })) test(name, run);
 * ```
 */
export function transportContract(under: TransportUnderTest): ContractTest[] {
  return [
    ...callTests(under),
    ...paceTests(under),
    ...endTests(under),
    ...leavingTests(under),
    ...cutTests(under),
    ...limitTests(under),
    ...lossTests(under),
    ...errorTests(under),
    ...metadataTests(under),
    ...lifeTests(under),
  ];
}
