export {
  type CallFault,
  type InjectedFault,
} from "../resilience/faults/call-fault.ts";
export { type Faults, type FaultsOptions, faults } from "../resilience/faults/faults.ts";
export { FAULT_INJECTED } from "../resilience/faults/live-fault.ts";
export { type BalancerContractOptions, balancerContract, type ContractTest } from "./balancer-contract.ts";
export { type InstancerBed, instancerContract } from "./discovery-instancer-contract.ts";
export { SnapshotRecorder, until } from "./discovery-recorder.ts";
export { type RegistrarBed, registrarContract } from "./discovery-registrar-contract.ts";
export { type FaultProxy, type FaultProxyOptions, faultProxy, type ProxyCounts } from "./fault-proxy.ts";
export type { Direction, InjectedProxyFault, ProxyFault } from "./proxy-fault.ts";
export { type RateLimiterBed, type RateLimiterNeeds, rateLimiterContract } from "./rate-limiter-contract.ts";
export { TestRegistry } from "./test-registry.ts";
export type { TransportUnderTest } from "./transport-bed.ts";
export { transportContract } from "./transport-contract.ts";
