export type { Balancer, BalancerDeps, BalancerFactory, Candidate } from "./balancer.ts";
