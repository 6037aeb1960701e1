import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { RefusedMessages } from "./refused.ts";

const booked = { procedure: "cargo.v1.CargoEvents/booked" } as MethodInfo;
const lost = { procedure: "cargo.v1.CargoEvents/lost" } as MethodInfo;

interface Bed {
  readonly clock: VirtualClock;
  readonly messages: RefusedMessages<{ again(): void }>;
  /** When messages were tried, and which. */
  readonly tries: [ms: number, name: string][];
  /** A message comes. */
  comes(name: string, method?: MethodInfo): void;
  /** What the policy says to a message that is tried; undefined: it is handled. */
  policy: (name: string) => { afterMs?: number } | undefined;
}

function bed(pauses = { firstMs: 1000, maxMs: 60_000 }): Bed {
  const clock = new VirtualClock();
  const messages: Bed["messages"] = new RefusedMessages(clock, { next: () => 0 }, pauses);
  const tries: [number, string][] = [];
  const made: Bed = {
    clock,
    messages,
    tries,
    policy: () => undefined,
    comes(name, method = booked) {
      const message = { again: () => attempt() };
      const attempt = (): void => {
        tries.push([clock.now(), name]);
        const refusal = made.policy(name);
        if (refusal !== undefined) messages.refused(method, message, refusal.afterMs);
      };
      if (!messages.waits(method, message)) attempt();
    },
  };
  return made;
}

describe("messages that a policy refuses", () => {
  test("are tried one at a time, after a pause that doubles, in turn; and one after the other while none is refused", async () => {
    const b = bed();
    b.policy = () => (b.clock.now() < 3000 ? {} : undefined);
    for (const name of ["a", "b", "c"]) b.comes(name);
    await b.clock.advance(10_000);
    assert.deepEqual(b.tries, [
      [0, "a"],
      [1000, "a"],
      [3000, "b"],
      [3001, "c"],
      [3002, "a"],
    ]);
  });

  test("wait as long as the policy says, and no longer than the longest pause", async () => {
    const b = bed({ firstMs: 1000, maxMs: 5000 });
    const told = [50, 50, 1e30, Number.NaN];
    b.policy = () => (told.length > 0 ? { afterMs: told.shift()! } : undefined);
    b.comes("a");
    await b.clock.advance(20_000);
    assert.deepEqual(
      b.tries.map(([ms]) => ms),
      [0, 50, 100, 5100, 10_100],
    );
  });

  test("take all that a rate allows", async () => {
    const b = bed();
    let freeMs = 0;
    let taken = 0;
    b.policy = () => {
      const nowMs = b.clock.now();
      if (nowMs < freeMs) return { afterMs: freeMs - nowMs };
      freeMs = nowMs + 100;
      taken++;
      return undefined;
    };
    for (let n = 0; n < 200; n++) b.comes(String(n));
    await b.clock.advance(10_000);
    assert.equal(taken, 101);
    assert.ok(b.tries.length <= 2 * taken, `${b.tries.length} tries`);
  });

  test("refused together are one try in vain", async () => {
    const b = bed();
    const all = Array.from({ length: 100 }, () => ({
      tries: 0,
      again() {
        this.tries++;
        b.messages.refused(booked, this, undefined);
      },
    }));
    for (const message of all) b.messages.refused(booked, message, undefined);
    await b.clock.advance(1000);
    assert.equal(all.filter(({ tries }) => tries > 0).length, 1);
    await b.clock.advance(1999);
    assert.equal(all.filter(({ tries }) => tries > 0).length, 1);
    await b.clock.advance(1);
    assert.equal(all.filter(({ tries }) => tries > 0).length, 2);
  });

  test("are tried when another was handled, but not before the policy has said", async () => {
    const b = bed();
    b.policy = () => ({});
    b.comes("a");
    b.comes("b");
    b.policy = () => undefined;
    await b.clock.advance(10);
    b.messages.handled(booked);
    assert.deepEqual(b.tries.at(-1), [10, "a"]);

    const told = bed();
    told.policy = () => ({ afterMs: 500 });
    told.comes("a");
    told.policy = () => undefined;
    await told.clock.advance(499);
    told.messages.handled(booked);
    assert.equal(told.tries.length, 1);
    await told.clock.advance(1);
    assert.equal(told.tries.length, 2);
  });

  test("one that was handled makes the pauses short again", async () => {
    const b = bed();
    b.policy = () => ({});
    b.comes("a");
    await b.clock.advance(40_000);
    const before = b.tries.length;
    // The next pause would be one of 32 s, to 63 s.
    b.messages.handled(booked);
    assert.equal(b.tries.length, before + 1);
    b.policy = () => undefined;
    await b.clock.advance(1000);
    assert.deepEqual(b.tries.at(-1), [41_000, "a"]);
  });

  test("of other methods are not waited for", () => {
    const b = bed();
    b.policy = (name) => (name === "a" ? {} : undefined);
    b.comes("a");
    b.comes("b", lost);
    assert.deepEqual(b.tries, [
      [0, "a"],
      [0, "b"],
    ]);
  });

  test("that are taken out are not tried any more, and leave no timer", async () => {
    const b = bed();
    const message = { again: () => assert.fail("tried") };
    b.messages.refused(booked, message, undefined);
    assert.equal(b.messages.remove(booked, message), true);
    assert.equal(b.messages.remove(booked, message), false);
    b.messages.refused(booked, message, undefined);
    assert.deepEqual(b.messages.leave(), [message]);
    assert.deepEqual(b.messages.leave(), []);
    assert.equal(b.clock.pending, 0);
    await b.clock.advance(100_000);
  });
});
