import type { Policy, PolicyChange } from "./policy.ts";

/** Those who want to be told of what changes, for policies that have a `listen`. */
export class Changes {
  readonly #listeners = new Set<(change: PolicyChange) => void>();

  /** As `Policy.listen`. */
  readonly listen: NonNullable<Policy["listen"]> = (listener) => {
    // A wrapper of its own, so that one function listening twice counts as two.
    const entry = (change: PolicyChange): void => listener(change);
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  };

  /** Something is wrong. */
  warn(message: string): void {
    this.#tell({ level: "warning", message });
  }

  /** It is well again. */
  notice(message: string): void {
    this.#tell({ level: "notice", message });
  }

  #tell(change: PolicyChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
