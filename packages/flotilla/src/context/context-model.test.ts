import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { CancelContext, Context } from "./context.ts";
import { contextKey } from "./key.ts";
import { type Node, Scope } from "./node.ts";
import { afterFunc, background, withCancel, withDeadline, withoutCancel, withTimeout, withValue } from "./with.ts";

// The contexts are lazy; the model is eager: it links every child and ends everything the moment it is due.

/** Width of the timer's slots: signals and `afterFunc`s may come this much late; `err`, `cause` and `deadline` may not. */
const SLOT_MS = 4;

class Model {
  readonly parent: Model | undefined;
  readonly deadline: number;
  readonly value: number | undefined;
  readonly children: Model[] = [];
  readonly afters: After[] = [];
  end: { code: string; cause: unknown; at: number } | undefined;

  /** @param follows - whether the parent's end is passed down: not through `withoutCancel`. */
  constructor(parent: Model | undefined, follows: boolean, deadline: number, value: number | undefined, now: number) {
    this.parent = parent;
    this.deadline = follows && parent !== undefined ? Math.min(parent.deadline, deadline) : deadline;
    this.value = value ?? parent?.value;
    if (parent !== undefined && follows) {
      parent.children.push(this);
      this.end = parent.end;
    }
    this.expire(now);
  }

  expire(now: number): void {
    if (this.deadline <= now) this.finish({ code: "deadline_exceeded", cause: undefined, at: this.deadline });
  }

  finish(end: { code: string; cause: unknown; at: number }): void {
    if (this.end !== undefined) return;
    this.end = end;
    for (const child of this.children) child.finish(end);
  }
}

/** One registered `afterFunc`. */
interface After {
  readonly ctx: Context;
  readonly on: Model;
  readonly stop: () => boolean;
  runs: number;
  stopped: boolean;
}

interface State {
  /** How late a signal may be, milliseconds. */
  readonly lateMs: number;
  now: number;
  readonly models: Model[];
  readonly afters: After[];
}

interface System {
  readonly clock: VirtualClock;
  readonly contexts: Context[];
}

type Command = fc.AsyncCommand<State, System>;

const key = contextKey<number>("k");

function command(name: string, run: (state: State, system: System) => void | Promise<void>): Command {
  return {
    check: () => true,
    toString: () => name,
    async run(state, system) {
      await run(state, system);
      await new Promise((resolve) => setImmediate(resolve));
      for (const after of state.afters) checkAfter(state, after);
      for (const ctx of system.contexts) checkLinks(ctx);
    },
  };
}

function checkAfter(state: State, { on, runs, stopped }: After): void {
  if (stopped || on.end === undefined) assert.equal(runs, 0);
  else if (state.now >= on.end.at + state.lateMs) assert.equal(runs, 1);
  else assert.ok(runs <= 1);
}

/** Nothing hangs on a parent or on the queue unless somebody listens. */
function checkLinks(ctx: Context): void {
  if (!(ctx instanceof Scope)) return;
  const { state, linked, controller, listener, child, slot } = ctx as unknown as {
    state: number;
    linked: boolean;
    controller: unknown;
    listener: unknown;
    child: unknown;
    slot: unknown;
  };
  const heard = controller !== undefined || child !== undefined || listener !== undefined;
  assert.equal(linked, state === 0 && heard);
  if (!linked) assert.deepEqual([slot, child], [undefined, undefined]);
}

function compare(state: State, model: Model, ctx: Context): void {
  assert.equal(ctx.err?.code, model.end?.code);
  if (model.end === undefined) assert.equal(ctx.cause, undefined);
  else assert.equal(ctx.cause, model.end.cause ?? ctx.err);
  assert.equal(ctx.deadline, model.deadline === Infinity ? undefined : model.deadline);
  assert.equal(ctx.value(key), model.value);
  assert.equal(ctx.clock.now(), state.now);
}

/** @param unit - every time is a multiple of it. */
function commandsOf(unit: number): fc.Arbitrary<Iterable<Command>> {
  const index = fc.nat({ max: 1_000 });
  const time = fc.integer({ min: -2, max: 30 }).map((n) => n * unit);
  const cause = fc.option(fc.constantFrom<unknown>("a", "b", 0, new Error("c")), { nil: undefined });
  const kind = fc.constantFrom("cancel", "timeout", "deadline", "value", "without");

  const make = fc.tuple(index, kind, time).map(([at, kind, ms]) =>
    command(`make ${kind} ${ms} under ${at}`, (state, { contexts }) => {
      const parent = contexts[at % contexts.length]!;
      const above = state.models[at % contexts.length]!;
      const { now } = state;
      switch (kind) {
        case "cancel":
          contexts.push(withCancel(parent));
          state.models.push(new Model(above, true, Infinity, undefined, now));
          break;
        case "timeout":
          contexts.push(withTimeout(parent, ms));
          state.models.push(new Model(above, true, now + ms, undefined, now));
          break;
        case "deadline":
          contexts.push(withDeadline(parent, ms * 3));
          state.models.push(new Model(above, true, ms * 3, undefined, now));
          break;
        case "value":
          contexts.push(withValue(parent, key, ms));
          state.models.push(new Model(above, true, Infinity, ms, now));
          break;
        default:
          contexts.push(withoutCancel(parent));
          state.models.push(new Model(above, false, Infinity, undefined, now));
      }
    }),
  );
  const cancel = fc.tuple(index, cause).map(([at, cause]) =>
    command(`cancel ${at} ${String(cause)}`, (state, { contexts }) => {
      const ctx = contexts[at % contexts.length]!;
      if (!(ctx instanceof Scope)) return;
      (ctx as CancelContext).cancel(cause);
      state.models[at % contexts.length]!.finish({ code: "canceled", cause, at: -Infinity });
    }),
  );
  const advance = time.map((ms) =>
    command(`advance ${ms}`, async (state, { clock }) => {
      await clock.advance(Math.max(0, ms));
      state.now += Math.max(0, ms);
      // In the order the deadlines fall due; a parent's end has reached its children before theirs is looked at.
      for (const model of state.models.toSorted((a, b) => a.deadline - b.deadline)) model.expire(state.now);
    }),
  );
  const askSignal = index.map((at) =>
    command(`signal of ${at}`, (state, { contexts }) => {
      const { end } = state.models[at % contexts.length]!;
      const { signal } = contexts[at % contexts.length]!;
      // Made just now, or up to 4 ms behind.
      if (end === undefined) assert.equal(signal.aborted, false);
      else if (state.now >= end.at + state.lateMs) assert.equal(signal.aborted, true);
      if (signal.aborted) assert.equal(signal.reason, contexts[at % contexts.length]!.err);
    }),
  );
  const look = index.map((at) =>
    command(`look at ${at}`, (state, { contexts }) => {
      const ctx = contexts[at % contexts.length]!;
      compare(state, state.models[at % contexts.length]!, ctx);
      // Once err has been seen the signal is no longer late.
      assert.equal(ctx.signal.aborted, ctx.err !== undefined);
    }),
  );
  const err = index.map((at) =>
    command(`err of ${at}`, (state, { contexts }) => {
      compare(state, state.models[at % contexts.length]!, contexts[at % contexts.length]!);
    }),
  );
  const listen = fc.tuple(index, fc.boolean()).map(([at, stopAtOnce]) =>
    command(`afterFunc of ${at}${stopAtOnce ? ", stopped at once" : ""}`, (state, { contexts }) => {
      const on = state.models[at % contexts.length]!;
      const stop = afterFunc(contexts[at % contexts.length]!, () => after.runs++);
      const after: After = { ctx: contexts[at % contexts.length]!, on, stop, runs: 0, stopped: stopAtOnce };
      if (stopAtOnce) assert.equal(stop(), true);
      state.afters.push(after);
    }),
  );
  const stop = index.map((at) =>
    command(`stop ${at}`, (state) => {
      const after = state.afters[at % state.afters.length];
      if (after === undefined) return;
      const stopped = after.stop();
      assert.equal(stopped, !after.stopped && after.runs === 0);
      if (stopped) after.stopped = true;
    }),
  );
  return fc.commands([make, make, cancel, advance, askSignal, look, err, listen, stop], {
    maxCommands: 80,
    size: "max",
  });
}

for (const { unit, lateMs, title } of [
  { unit: SLOT_MS, lateMs: 0, title: "on the edges of the timer's slots, where nothing may be late" },
  { unit: 0.7, lateMs: SLOT_MS, title: "at any time, signals at most 4 ms late" },
]) {
  test(`lazy contexts do as eager ones would, ${title}`, async () => {
    await fc.assert(
      fc.asyncProperty(commandsOf(unit), async (commands) => {
        const clock = new VirtualClock();
        const root = background(clock) as Node;
        const state: State = {
          lateMs,
          now: 0,
          models: [new Model(undefined, false, Infinity, undefined, 0)],
          afters: [],
        };
        const system: System = { clock, contexts: [root] };
        await fc.asyncModelRun(() => ({ model: state, real: system }), commands);

        await clock.advance(SLOT_MS);
        state.now = clock.now();
        for (const model of state.models.toSorted((a, b) => a.deadline - b.deadline)) model.expire(state.now);
        for (const [i, model] of state.models.entries()) compare(state, model, system.contexts[i]!);
        assert.ok(clock.pending <= 1);

        for (const ctx of system.contexts) if (ctx instanceof Scope) ctx.cancel();
        await new Promise((resolve) => setImmediate(resolve));
        for (const { ctx, runs, stopped } of state.afters) {
          assert.equal(runs, stopped || (ctx as Node).scope === undefined ? 0 : 1);
        }
        for (const ctx of system.contexts) checkLinks(ctx);
        assert.equal(root.root.deadlines.size, 0);
      }),
      { numRuns: 300 },
    );
  });
}
