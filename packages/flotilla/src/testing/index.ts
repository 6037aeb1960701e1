export { type BalancerContractOptions, balancerContract, type ContractTest } from "./balancer-contract.ts";
export { type InstancerBed, instancerContract } from "./discovery-instancer-contract.ts";
export { SnapshotRecorder, until } from "./discovery-recorder.ts";
export { type RegistrarBed, registrarContract } from "./discovery-registrar-contract.ts";
export { type RateLimiterBed, type RateLimiterNeeds, rateLimiterContract } from "./rate-limiter-contract.ts";
export { TestRegistry } from "./test-registry.ts";
export type { TransportUnderTest } from "./transport-bed.ts";
export { transportContract } from "./transport-contract.ts";
