import type { Candidate } from "./balancer.ts";

/** A weight that is no positive, finite number came from a faulty registration: it counts as the default. */
export function weightOf(candidate: Candidate): number {
  const { weight } = candidate.instance;
  return weight !== undefined && weight > 0 && weight < Infinity ? weight : 1;
}
