import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Context } from "../context/context.ts";
import { contextKey } from "../context/key.ts";
import { background, withCancel, withValue } from "../context/with.ts";
import type { ServiceError } from "../errors/service-error.ts";
import type { Endpoint } from "./endpoint.ts";
import { type Guard, GuardedCall, guarded } from "./guard.ts";
import type { MethodInfo } from "./method-info.ts";
import { isStream, observeCall } from "./stream.ts";

const unary = { kind: "unary" } as MethodInfo;
const stream = { kind: "server_stream" } as MethodInfo;
const path = contextKey("path", "");

/** What one guard does to a call, and to its failure. */
interface Conduct {
  readonly enter: "pass" | "child" | "refuse" | "throw" | "wait" | "wait and refuse" | "child and wait";
  readonly leaves: boolean;
  readonly atAnswer: boolean;
  readonly recover: "never" | "declines" | "again" | "another answer";
}

/** What the endpoint does, each time it is called. */
type Outcome = "ok" | "fails" | "throws" | "stream" | "broken stream";

/** How the answer is read, where it is a stream. */
type Reading = "whole" | "one item" | "canceled unread";

/** What a guard gets back: its own name, and the context the call went on with. */
interface Token {
  readonly name: string;
  readonly ctx: Context;
}

/** A call through guards, and all that happened in its course. */
interface Run {
  readonly outcomes: readonly Outcome[];
  readonly reading: Reading;
  readonly wrap: (guards: readonly Guard[], next: Endpoint) => Endpoint;
}

async function play(conducts: readonly Conduct[], { outcomes, reading, wrap }: Run): Promise<string[]> {
  const clock = new VirtualClock();
  const log: string[] = [];
  const guards = conducts.map((conduct, index) => guardOf(conduct, String(index), clock, log));
  let calls = 0;
  const endpoint: Endpoint = (ctx) => {
    const outcome = outcomes[calls++ % outcomes.length]!;
    log.push(`called at ${clock.now()} under ${ctx.value(path)}`);
    if (outcome === "throws") throw new Error("thrown");
    return new Promise((resolve, reject) => {
      clock.schedule(calls, () => {
        if (outcome === "fails") reject(new Error(`failure ${calls}`));
        else resolve(outcome === "ok" ? "answer" : streamOf(outcome === "broken stream"));
      });
    });
  };
  const scope = withCancel(background(clock));
  const over = wrap(guards, endpoint)(scope, "request")
    .then(async (answer) => {
      log.push(`answered at ${clock.now()}`);
      if (!isStream(answer)) return void log.push(`with ${String(answer)}`);
      if (reading === "canceled unread") return scope.cancel();
      for await (const item of answer) {
        log.push(`item ${String(item)}`);
        if (reading === "one item") break;
      }
    })
    .catch((error: unknown) => log.push(`failed at ${clock.now()} with ${String(error)}`));
  await clock.advance(1000);
  await over;
  await clock.advance(0);
  assert.equal(clock.pending, 0);
  return log;
}

function guardOf(conduct: Conduct, name: string, clock: VirtualClock, log: string[]): Guard<Token> {
  const { enter, leaves, atAnswer, recover } = conduct;
  const later = (ms: number): Promise<void> => new Promise((resolve) => void clock.schedule(ms, resolve));
  let recovered = false;
  return {
    name,
    atAnswer,
    enter(call) {
      log.push(`${name} entered at ${call.startedOn(clock)} under ${call.ctx.value(path)} for ${String(call.request)}`);
      if (enter.startsWith("child")) call.ctx = withValue(call.ctx, path, `${call.ctx.value(path)}/${name}`);
      const token = { name, ctx: call.ctx };
      if (enter === "throw") throw new Error(`${name} threw`);
      if (enter === "refuse") return call.refuse(new Error(`${name} refused`));
      if (enter === "wait and refuse")
        return call.wait(later(3).then(() => Promise.reject(new Error(`${name} refused late`))));
      return enter.endsWith("wait") ? call.wait(later(5).then(() => token)) : token;
    },
    begun: (call: GuardedCall, token: Token) => void log.push(`${name} begun: ${call.begun} with token ${token.name}`),
    ...(leaves && {
      leave(call: GuardedCall, token: Token, error: unknown) {
        log.push(
          `${name} left at ${call.endedOn(clock)} after ${call.durationMs} with token ${token.name} and ${String(error)}${call.begun && !atAnswer ? ", begun" : ""}`,
        );
      },
    }),
    ...(recover !== "never" && {
      recover<Res>(
        _call: GuardedCall,
        token: Token,
        error: unknown,
        again: (ctx: Context) => Promise<Res>,
      ): Promise<Res> | undefined {
        log.push(`${name} may recover with token ${token.name} from ${String(error)}`);
        if (recover === "declines" || recovered) return undefined;
        recovered = true;
        if (recover === "another answer") return later(2).then(() => "another answer" as Res);
        return later(1).then(() => again(withValue(token.ctx, path, `again from ${name}`)));
      },
    }),
  };
}

async function* streamOf(breaks: boolean): AsyncGenerator<number> {
  yield 1;
  yield 2;
  if (breaks) throw new Error("broken");
}

const together =
  (method: MethodInfo): Run["wrap"] =>
  (guards, next) =>
    guards.reduceRight((inner, guard) => guarded(guard, inner, method), next);

/** Each by itself: what stands between them is no guard. */
const apart =
  (method: MethodInfo): Run["wrap"] =>
  (guards, next) =>
    guards.reduceRight<Endpoint>((inner, guard) => {
      const endpoint = guarded(guard, inner, method);
      return (ctx, request) => endpoint(ctx, request);
    }, next);

/** What guards mean, written down without regard to what it costs. */
const model =
  (streams: boolean): Run["wrap"] =>
  (guards, next) =>
    guards.reduceRight<Endpoint>((inner, guard) => {
      return async function attempt(ctx, request) {
        const arriving = new GuardedCall(ctx, request);
        let token = guard.enter(arriving);
        let call = arriving;
        if (arriving.detour !== undefined) {
          token = await arriving.detour;
          call = new GuardedCall(arriving.ctx, request);
        }
        const end = (error: unknown): void => {
          call.endedMs = call.clock.now();
          guard.leave?.(call, token, error);
        };
        let answer: unknown;
        try {
          answer = await inner(call.ctx, request);
        } catch (error) {
          end(error);
          const instead = guard.recover?.(call, token, error, (again) => Promise.resolve(inner(again, request)));
          if (instead === undefined) throw error;
          return await instead;
        }
        if (!streams || !isStream(answer) || guard.atAnswer === true || guard.leave === undefined) {
          end(undefined);
          return answer;
        }
        call.begun = true;
        guard.begun?.(call, token);
        return observeCall(call.ctx, answer, end);
      };
    }, next);

const conduct: fc.Arbitrary<Conduct> = fc.record({
  enter: fc.oneof(
    { weight: 3, arbitrary: fc.constant<Conduct["enter"]>("pass") },
    { weight: 3, arbitrary: fc.constantFrom<Conduct["enter"][]>("child", "wait", "child and wait") },
    { weight: 1, arbitrary: fc.constantFrom<Conduct["enter"][]>("refuse", "throw", "wait and refuse") },
  ),
  leaves: fc.boolean(),
  atAnswer: fc.boolean(),
  recover: fc.constantFrom<Conduct["recover"][]>("never", "never", "declines", "again", "another answer"),
});
const conducts = fc.array(conduct, { minLength: 1, maxLength: 6 });
const failures = fc.constantFrom<Outcome[]>("ok", "fails", "throws");
const streams = fc.constantFrom<Outcome[]>("stream", "broken stream", "fails");
const readings = fc.constantFrom<Reading[]>("whole", "one item", "canceled unread");

describe("guards around each other do what each does by itself, in the same order", () => {
  test("calls with one answer", async () => {
    await fc.assert(
      fc.asyncProperty(conducts, fc.array(failures, { minLength: 1, maxLength: 4 }), async (list, outcomes) => {
        // What is thrown at once is thrown on at once, where the model knows rejections alone.
        const run = { outcomes, reading: "whole" } as const;
        const safely =
          (wrap: Run["wrap"]): Run["wrap"] =>
          (guards, next) => {
            const endpoint = wrap(guards, next);
            return async (ctx, request) => await endpoint(ctx, request);
          };
        const expected = await play(list, { ...run, wrap: model(false) });
        assert.deepEqual(await play(list, { ...run, wrap: safely(together(unary)) }), expected);
        assert.deepEqual(await play(list, { ...run, wrap: safely(apart(unary)) }), expected);
      }),
      { numRuns: 1000 },
    );
  });

  test("calls with a stream of answers, however it is read", async () => {
    await fc.assert(
      fc.asyncProperty(
        conducts,
        fc.array(streams, { minLength: 1, maxLength: 3 }),
        readings,
        async (list, outcomes, reading) => {
          const run = { outcomes, reading };
          const expected = await play(list, { ...run, wrap: model(true) });
          assert.deepEqual(await play(list, { ...run, wrap: together(stream) }), expected);
          assert.deepEqual(await play(list, { ...run, wrap: apart(stream) }), expected);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

const ctx = background(new VirtualClock());
const answering: Endpoint = async () => "answer";

test("the first is the outermost, also where another middleware stands between", async () => {
  const order: string[] = [];
  const guard = (name: string): Guard => ({
    name,
    enter: () => void order.push(`${name} in`),
    leave: () => void order.push(`${name} out`),
  });
  const inner = guarded(guard("c"), guarded(guard("d"), answering, unary), unary);
  const between: Endpoint = async (ctx, request) => {
    order.push("between");
    return await inner(ctx, request);
  };
  await guarded(guard("a"), guarded(guard("b"), between, unary), unary)(ctx, 1);
  assert.deepEqual(order, ["a in", "b in", "between", "c in", "d in", "d out", "c out", "b out", "a out"]);
});

test("one promise more than the endpoint's own, and none where nobody asks for the end", () => {
  const promise = Promise.resolve("answer");
  const entering: Guard = { name: "entering", enter() {} };
  const endpoint = guarded(
    entering,
    guarded(entering, () => promise, unary),
    unary,
  );
  assert.equal(endpoint(ctx, 1), promise);
});

test("one reading of the clock at either end, however many they are; a guard with a clock of its own reads that", async () => {
  const clock = new VirtualClock();
  let readings = 0;
  const counted: VirtualClock = Object.create(clock, {
    now: {
      value: () => {
        readings++;
        return clock.now();
      },
    },
  });
  const other = new VirtualClock();
  await other.advance(7);
  const seen: number[] = [];
  const guard = (of: VirtualClock): Guard => ({
    name: "timed",
    enter: (call) => void seen.push(call.startedOn(of)),
    leave: (call) => void seen.push(call.endedOn(of), call.durationMs),
  });
  const list = [guard(counted), guard(counted), guard(other)];
  const waits: Endpoint = async () => await clock.advance(2);
  await together(unary)(list, waits)(background(counted), 1);
  assert.equal(readings, 2);
  assert.deepEqual(seen, [0, 0, 7, 7, 2, 2, 2, 2, 2]);
});

test("what an endpoint throws at once is thrown on at once, the guards being told; what a guard throws on entering is a refusal", async () => {
  const told: unknown[] = [];
  const guard: Guard = { name: "told", enter() {}, leave: (_call, _token, error) => void told.push(error) };
  const error = new Error("at once");
  const broken: Endpoint = () => {
    throw error;
  };
  assert.throws(() => together(unary)([guard, guard], broken)(ctx, 1), error);
  const throwing: Guard = { name: "throwing", enter: () => broken(ctx, 1) };
  await assert.rejects(together(unary)([guard, throwing], answering)(ctx, 1), error);
  assert.deepEqual(told, [error, error, error]);
});

test("a call that fails with undefined has failed", async () => {
  const told: unknown[] = [];
  const guard: Guard = { name: "told", enter() {}, leave: (_call, _token, error) => void told.push(error) };
  const failing: Endpoint = () => Promise.reject();
  await assert.rejects(guarded(guard, failing, unary)(ctx, 1), { code: "internal" });
  assert.equal((told[0] as ServiceError).code, "internal");
});

test("where one throws in leaving, the call fails with that, and those further out are told", async () => {
  for (const [method, outcome] of [
    [unary, async () => "answer"],
    [stream, async () => streamOf(false)],
  ] as const) {
    const told: unknown[] = [];
    const error = new Error("in leaving");
    const leaving: Guard = {
      name: "leaving",
      atAnswer: true,
      enter() {},
      leave() {
        throw error;
      },
    };
    const guard: Guard = { name: "told", enter() {}, leave: (_call, _token, error) => void told.push(error) };
    await assert.rejects(together(method)([guard, leaving], outcome)(ctx, 1), error);
    assert.deepEqual(told, [error]);
  }
});

test("a stack trace reads as the stack of concerns", () => {
  const guard = (name: string): Guard => ({ name, enter() {} });
  const broken: Endpoint = function handler() {
    throw new Error("at once");
  };
  const endpoint = together(unary)([guard("withDeadline"), guard("breaking")], broken);
  try {
    void endpoint(ctx, 1);
    assert.fail("it did not throw");
  } catch (error) {
    assert.match((error as Error).stack!, /at handler .*\n[^]*at withDeadline breaking /);
  }
});
