import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Node } from "../../context/node.ts";
import { background, withCancel, withDeadline } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { unary } from "../../contract/method.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { priorities, withPriority } from "../../metadata/priority.ts";
import { concurrencyLimit } from "./concurrency-limit.ts";
import type { LimitFactory } from "./limit.ts";

const io = { input: z.object({}), output: z.object({}) };
const { methods } = contract("a.B", { one: unary(io), other: unary(io) });

/** Deadlines share timers of so many milliseconds. */
const SLACK_MS = 4;

type Outcome = "ok" | "broken" | "refused" | "canceled" | "late";

interface Call {
  readonly deadlineMs: number;
  readonly cancel: () => void;
  startedMs: number | undefined;
  settledMs: number | undefined;
  readonly outcomes: Outcome[];
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      act: fc.constant("call" as const),
      method: fc.nat(1),
      priority: fc.constantFrom(...priorities),
      timeoutMs: fc.option(fc.integer({ min: 1, max: 400 }), { nil: undefined }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ act: fc.constant("end" as const), which: fc.nat(1000), how: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant("cancel" as const), which: fc.nat(1000) }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 150 }) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant("limit" as const), limit: fc.integer({ min: 1, max: 6 }) }) },
);

test("whatever comes: no more in flight than may be, each call ends once and in time, nothing is left behind", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 120, size: "max" }),
      fc.constantFrom(0, 1, 5, 100),
      async (steps, maxQueued) => {
        const clock = new VirtualClock();
        const root = background(clock);
        // What a limit does, it does when a call has found no room or has ended.
        let current = 2;
        let next = 2;
        const kinds: { inFlight: number }[] = [];
        const limit: LimitFactory = () => ({
          get current() {
            return current;
          },
          kind() {
            kinds.push({ inFlight: 0 });
            return kinds.at(-1)!;
          },
          pressed() {
            current = next;
          },
          ended() {
            current = next;
          },
        });
        const limited = concurrencyLimit({ limit, clock, maxQueued });
        const running: { readonly call: Call; readonly end: (how: number) => void }[] = [];
        const calls: Call[] = [];
        const endpoint: Endpoint = (_ctx, call) => {
          assert.ok(limited.state.inFlight <= current, `${limited.state.inFlight} of ${current} are in flight`);
          const begun = call as Call;
          assert.equal(begun.startedMs, undefined, "a call is made once");
          begun.startedMs = clock.now();
          assert.ok(begun.startedMs <= begun.deadlineMs + SLACK_MS, "no call begins past its deadline");
          return new Promise((resolve, reject) => {
            const end = (how: number): void => {
              if (how === 0) resolve({});
              else reject(how === 1 ? new Error("broken") : new ServiceError("not_found", "none"));
            };
            running.push({ call: begun, end });
          });
        };
        const endpoints = methods.map((method) => limited(endpoint, method));

        const outcomeOf = (error: unknown): Outcome => {
          const { code } = ServiceError.from(error);
          if (code === "unavailable") return "refused";
          if (code === "canceled") return "canceled";
          return code === "deadline_exceeded" ? "late" : "broken";
        };
        const begin = (method: number, priority: (typeof priorities)[number], timeoutMs: number | undefined): void => {
          const deadlineMs = clock.now() + (timeoutMs ?? Infinity);
          const scope = withCancel(timeoutMs === undefined ? root : withDeadline(root, deadlineMs));
          const call: Call = {
            deadlineMs,
            cancel: () => scope.cancel(),
            startedMs: undefined,
            settledMs: undefined,
            outcomes: [],
          };
          const settled = (outcome: Outcome): void => {
            call.outcomes.push(outcome);
            call.settledMs = clock.now();
          };
          calls.push(call);
          endpoints[method]!(withPriority(scope, priority), call).then(
            () => settled("ok"),
            (error: unknown) => settled(outcomeOf(error)),
          );
        };

        for (const at of steps) {
          if (at.act === "call") begin(at.method, at.priority, at.timeoutMs);
          else if (at.act === "end") running.splice(at.which % Math.max(1, running.length), 1)[0]?.end(at.how);
          else if (at.act === "cancel") calls[at.which % Math.max(1, calls.length)]?.cancel();
          else if (at.act === "limit") next = at.limit;
          else await clock.advance(at.ms);
          await clock.advance(0);
          const { inFlight, queued } = limited.state;
          assert.equal(inFlight, running.length);
          assert.ok(queued <= maxQueued);
          assert.ok(
            queued === 0 || inFlight >= current,
            `${queued} wait though ${inFlight} of ${current} are in flight`,
          );
          for (const call of calls) {
            const waits = call.startedMs === undefined && call.settledMs === undefined;
            assert.ok(!waits || clock.now() <= call.deadlineMs + SLACK_MS, "no call waits past its deadline");
          }
        }
        while (running.length > 0) {
          running.pop()!.end(0);
          await clock.advance(0);
        }
        for (const { outcomes } of calls) assert.equal(outcomes.length, 1, "each call ends once");
        assert.equal(limited.state.inFlight, 0);
        assert.equal(limited.state.queued, 0);
        assert.deepEqual(
          kinds.map(({ inFlight }) => inFlight),
          [0, 0],
        );
        assert.equal((root as Node).root.deadlines.size, 0, "nobody listens any more");
        // Only the timer that the deadlines shared may lapse yet.
        await clock.advance(1000);
        assert.equal(clock.pending, 0, "no timer is left");
      },
    ),
    { numRuns: 400 },
  );
});
