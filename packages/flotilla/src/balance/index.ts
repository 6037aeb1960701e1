export type { Balancer, BalancerDeps, BalancerFactory, Candidate } from "./balancer.ts";
export type { Ejected, EjectionOptions } from "./ejection.ts";
export { leastRequest } from "./least-request.ts";
export { random } from "./random.ts";
export { roundRobin } from "./round-robin.ts";
