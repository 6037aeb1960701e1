import type { Clock } from "../clock/clock.ts";
import type { ServiceError } from "../errors/service-error.ts";
import { withoutStack } from "../errors/without-stack.ts";
import type { CancelContext, Context } from "./context.ts";
import { DeadlineQueue, type Expiring } from "./deadline-queue.ts";
import type { ContextKey } from "./key.ts";

/** What all contexts of one root share. */
export class Root {
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;

  constructor(clock: Clock) {
    this.clock = clock;
    this.deadlines = new DeadlineQueue(clock);
  }
}

const inspect = Symbol.for("nodejs.util.inspect.custom");

/** A link in the chain of contexts: at most one value, and the nearest cancellable ancestor resolved once. */
export class Node implements Context {
  readonly root: Root;
  readonly parent: Node | undefined;
  readonly scope: Scope | undefined;
  readonly key: ContextKey<unknown> | undefined;
  readonly held: unknown;

  constructor(
    root: Root,
    parent: Node | undefined,
    scope: Scope | undefined,
    key: ContextKey<unknown> | undefined,
    held: unknown,
  ) {
    this.root = root;
    this.parent = parent;
    this.scope = scope;
    this.key = key;
    this.held = held;
  }

  get clock(): Clock {
    return this.root.clock;
  }

  get deadline(): number | undefined {
    const scope = this.scope;
    return scope === undefined || scope.deadlineMs === Infinity ? undefined : scope.deadlineMs;
  }

  get err(): ServiceError | undefined {
    return this.scope?.error();
  }

  get cause(): unknown {
    const scope = this.scope;
    return scope?.settle() ? (scope.reason ?? scope.error()) : undefined;
  }

  get signal(): AbortSignal {
    // Never aborts, and is nobody else's: what listens to it cannot pile up on a signal that lives for ever.
    return this.scope === undefined ? new AbortController().signal : this.scope.abortSignal();
  }

  /** For `console.log`: what is in force, the values by their names alone. */
  [inspect](): unknown {
    const { deadline, err } = this;
    const values: string[] = [];
    for (let node: Node | undefined = this; node !== undefined; node = node.parent) {
      if (node.key !== undefined) values.push(node.key.name);
    }
    return { deadlineInMs: deadline === undefined ? undefined : deadline - this.clock.now(), err: err?.code, values };
  }

  value<T>(key: ContextKey<T>): T {
    let node: Node | undefined = this;
    do {
      if (node.key === key) return node.held as T;
      node = node.parent;
    } while (node !== undefined);
    return key.defaultValue;
  }
}

const OPEN = 0;
const CANCELED = 1;
const EXPIRED = 2;

/** One that waits for the end of a scope. */
class Listener {
  readonly callback: () => void;
  /** Neither called nor taken back. */
  waiting = true;
  older: Listener | undefined = undefined;
  newer: Listener | undefined = undefined;

  constructor(callback: () => void) {
    this.callback = callback;
  }

  /** Calls it in a microtask of its own, unless it is taken back before. */
  call(): void {
    queueMicrotask(() => {
      if (this.take()) this.callback();
    });
  }

  take(): boolean {
    const { waiting } = this;
    this.waiting = false;
    return waiting;
  }
}

/**
 * A cancellable context.
 *
 * It is lazy: until somebody listens, it hangs on no parent and on no timer, and `err` is worked out by looking up the chain.
 * With its first listener (a signal, an `afterFunc`, a listening child) it links itself to its parent and its deadline to the
 * queue; with the last one gone it unlinks.
 */
export class Scope extends Node implements CancelContext, Expiring {
  declare readonly scope: Scope;
  /** The nearest cancellable ancestor. */
  readonly above: Scope | undefined;
  /** Infinity: none. Never later than the ancestor's. */
  readonly deadlineMs: number;
  /** What `cancel` was given. */
  reason: unknown = undefined;
  slot: Expiring["slot"] = undefined;
  before: Expiring | undefined = undefined;
  after: Expiring | undefined = undefined;
  private state: typeof OPEN | typeof CANCELED | typeof EXPIRED = OPEN;
  private doneAt = Infinity;
  private inherited = false;
  private failure: ServiceError | undefined = undefined;
  private controller: AbortController | undefined = undefined;
  private linked = false;
  // Those that listen, and the children that do: doubly linked lists, the newest first.
  private listener: Listener | undefined = undefined;
  private child: Scope | undefined = undefined;
  private younger: Scope | undefined = undefined;
  private older: Scope | undefined = undefined;

  constructor(parent: Node, deadlineMs: number, key: ContextKey<unknown> | undefined, held: unknown) {
    super(parent.root, parent, undefined, key, held);
    (this as { scope: Scope }).scope = this;
    const above = parent.scope;
    this.above = above;
    this.deadlineMs = above !== undefined && above.deadlineMs < deadlineMs ? above.deadlineMs : deadlineMs;
    // Made under one that has ended: that end came first, whatever the new deadline says.
    if (above?.underEnded()) {
      above.settle();
      this.inherit(above);
    }
  }

  cancel(cause?: unknown, now: number = this.root.clock.now()): void {
    if (this.settle(now)) return;
    this.reason = cause;
    this.finish(CANCELED, now);
  }

  [Symbol.dispose](): void {
    this.cancel();
  }

  expire(): void {
    this.settle();
  }

  error(): ServiceError | undefined {
    if (!this.settle()) return undefined;
    if (this.failure === undefined) {
      if (this.inherited) this.failure = this.above!.error();
      else if (this.state === EXPIRED) this.failure = withoutStack("deadline_exceeded", "deadline exceeded");
      else this.failure = withoutStack("canceled", "the call was canceled", { cause: this.reason });
    }
    return this.failure;
  }

  /** Brings the state up to date with the clock and the ancestors; true when the context is done. */
  settle(now: number = this.root.clock.now()): boolean {
    if (this.state !== OPEN) return true;
    // No ancestor has an earlier deadline: what is not ended above and not due here is open.
    if (this.deadlineMs > now && !this.underEnded()) return false;
    const above = this.above;
    const ended = above?.settle(now) ? above : undefined;
    // That may have ended this one too.
    if (this.state !== OPEN) return true;
    // Nobody may have looked when the deadline passed: what came first wins, not what is noticed first.
    if (this.deadlineMs <= (ended?.doneAt ?? now) && this.hasOwnDeadline()) this.finish(EXPIRED, this.deadlineMs);
    else if (ended !== undefined) this.inherit(ended);
    return this.state !== OPEN;
  }

  abortSignal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.settle()) this.controller.abort(this.error());
      else this.link();
    }
    return this.controller.signal;
  }

  /** Calls `listener` in a microtask of its own once done. The result takes it back: true when it had not been started. */
  listen(listener: () => void): () => boolean {
    const entry = new Listener(listener);
    if (this.settle()) {
      entry.call();
      return () => entry.take();
    }
    const newest = this.listener;
    entry.older = newest;
    if (newest !== undefined) newest.newer = entry;
    this.listener = entry;
    this.link();
    return () => this.unlisten(entry);
  }

  private unlisten(entry: Listener): boolean {
    if (!entry.take()) return false;
    // Once it is done there is no list any more.
    if (this.state !== OPEN) return true;
    const { older, newer } = entry;
    if (newer === undefined) this.listener = older;
    else newer.older = older;
    if (older !== undefined) older.newer = newer;
    entry.older = entry.newer = undefined;
    this.unlinkIfIdle();
    return true;
  }

  /** Whether this one or an ancestor is known to have ended, deadlines that nobody has noticed left aside. */
  private underEnded(): boolean {
    let scope: Scope | undefined = this;
    while (scope !== undefined && scope.state === OPEN) scope = scope.above;
    return scope !== undefined;
  }

  private hasOwnDeadline(): boolean {
    return this.above === undefined ? this.deadlineMs !== Infinity : this.deadlineMs < this.above.deadlineMs;
  }

  private link(): void {
    if (this.linked) return;
    this.linked = true;
    const above = this.above;
    if (above !== undefined) {
      this.older = above.child;
      if (above.child !== undefined) above.child.younger = this;
      above.child = this;
      above.link();
    }
    if (this.hasOwnDeadline()) this.root.deadlines.add(this);
  }

  private unlinkIfIdle(): void {
    if (!this.linked || this.controller !== undefined || this.child !== undefined) return;
    if (this.listener !== undefined) return;
    this.unlink();
  }

  private unlink(): void {
    this.linked = false;
    this.root.deadlines.remove(this);
    const { above, younger, older } = this;
    if (above === undefined) return;
    if (younger !== undefined) younger.older = older;
    else above.child = older;
    if (older !== undefined) older.younger = younger;
    this.younger = this.older = undefined;
    above.unlinkIfIdle();
  }

  private inherit(above: Scope): void {
    this.reason = above.reason;
    this.inherited = true;
    this.finish(above.state, above.doneAt);
  }

  private finish(state: typeof this.state, doneAt: number): void {
    this.state = state;
    this.doneAt = doneAt;
    if (!this.linked) return;
    this.unlink();
    this.controller?.abort(this.error());
    // Each takes itself off the list.
    while (this.child !== undefined) this.child.settle();
    let first = this.listener;
    this.listener = undefined;
    while (first?.older !== undefined) first = first.older;
    for (let entry = first; entry !== undefined; entry = entry.newer) entry.call();
  }
}
