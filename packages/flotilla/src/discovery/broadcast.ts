import type { Instance } from "../endpoint/instance.ts";
import type { ServiceError } from "../errors/service-error.ts";
import { byId, sameInstance } from "./check.ts";
import type { InstanceObserver, Watch } from "./discovery.ts";

interface Listener {
  readonly observer: InstanceObserver;
  live: boolean;
  /** Its first turn, in which it hears how things stand, is still to come. */
  fresh: boolean;
}

/**
 * Tells the observers of one service what its source knows, by the rules of `Instancer`: full snapshots ordered by id, never
 * the same one twice but to end a spell of failure, one error a spell, nothing inside `watch`, nothing after `stop`.
 *
 * Instances that stay are the same objects from one snapshot to the next.
 */
export class Broadcast {
  readonly #listeners = new Set<Listener>();
  readonly #onEmpty: () => void;
  #snapshot: readonly Instance[] | undefined;
  #failure: ServiceError | undefined;
  #notice: ServiceError | undefined;

  /** @param onEmpty - called when the last observer has gone. */
  constructor(onEmpty: () => void = () => {}) {
    this.#onEmpty = onEmpty;
  }

  get size(): number {
    return this.#listeners.size;
  }

  add(observer: InstanceObserver): Watch {
    const listener: Listener = { observer, live: true, fresh: true };
    this.#listeners.add(listener);
    queueMicrotask(() => {
      listener.fresh = false;
      if (this.#notice !== undefined) tell(listener, "error", this.#notice);
      if (this.#snapshot !== undefined) tell(listener, "update", this.#snapshot);
      if (this.#failure !== undefined) tell(listener, "error", this.#failure);
    });
    return {
      stop: () => {
        if (!listener.live) return;
        listener.live = false;
        this.#listeners.delete(listener);
        if (this.#listeners.size === 0) this.#onEmpty();
      },
    };
  }

  /**
   * The source works and these are all instances, in any order.
   *
   * @param notice - what about the source needs mending although the snapshot is good; told when it is another object than
   *   the last one, and the snapshot after it, so that no spell of failure begins.
   */
  update(found: readonly Instance[], notice?: ServiceError): void {
    const next = settle(this.#snapshot, found);
    const told = notice !== undefined && notice !== this.#notice;
    this.#notice = notice;
    if (next === this.#snapshot && this.#failure === undefined && !told) return;
    this.#snapshot = next;
    this.#failure = undefined;
    if (told) this.#all("error", notice);
    // An observer may have caused another update meanwhile, which has told everybody.
    if (this.#snapshot === next) this.#all("update", next);
  }

  /** The source fails. Told once; the next `update` ends the spell. */
  error(failure: ServiceError): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#all("error", failure);
  }

  #all(event: "update", value: readonly Instance[]): void;
  #all(event: "error", value: ServiceError): void;
  #all(event: "update" | "error", value: readonly Instance[] | ServiceError): void {
    // A copy: who is told may add an observer, which hears in its own first turn.
    for (const listener of Array.from(this.#listeners)) if (!listener.fresh) tell(listener, event, value);
  }
}

function tell(listener: Listener, event: "update" | "error", value: readonly Instance[] | ServiceError): void {
  if (!listener.live) return;
  try {
    if (event === "update") listener.observer.update(value as readonly Instance[]);
    else listener.observer.error(value as ServiceError);
  } catch (error) {
    // An observer must not throw: that is an error of the program, and must not keep the others from being told.
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** The snapshot that follows `last`: `last` itself when nothing has changed. */
function settle(last: readonly Instance[] | undefined, found: readonly Instance[]): readonly Instance[] {
  const sorted = isSorted(found) ? found : found.toSorted(byId);
  if (last === undefined) return Object.isFrozen(sorted) ? sorted : Object.freeze(sorted.slice());
  let same = last.length === sorted.length;
  // Both are in the same order: one walk finds who was there before.
  let at = 0;
  const next = sorted.map((instance) => {
    while (at < last.length && last[at]!.id < instance.id) at++;
    const before = last[at];
    if (before !== undefined && sameInstance(before, instance)) return before;
    same = false;
    return instance;
  });
  return same ? last : Object.freeze(next);
}

function isSorted(instances: readonly Instance[]): boolean {
  for (let i = 1; i < instances.length; i++) if (byId(instances[i - 1]!, instances[i]!) > 0) return false;
  return true;
}
