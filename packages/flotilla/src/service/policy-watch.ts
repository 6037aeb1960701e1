import type { Policy, PolicyChange } from "../endpoint/policy.ts";

/** Has `tell` told of every change in these policies. @returns what ends that. */
export function listenTo(policies: readonly Policy[], tell: (change: PolicyChange) => void): () => void {
  const stops = [...new Set(policies)].flatMap((policy) => policy.listen?.(tell) ?? []);
  return () => {
    for (const stop of stops) stop();
  };
}
