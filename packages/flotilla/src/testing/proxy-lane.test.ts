import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { uniform } from "../clock/distribution.ts";
import { seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { type ProxyFault, settleProxyFault } from "./proxy-fault.ts";
import { type Acting, type Arrival, ProxyLane } from "./proxy-lane.ts";

/** A lane between a sender and a receiver that write down what happens. */
function bed({ maxBufferBytes = 1000, seed = 1 } = {}) {
  const clock = new VirtualClock();
  const log: { at: number; what: string }[] = [];
  const received: Buffer[] = [];
  let taking = true;
  let paused = false;
  const note = (what: string): void => void log.push({ at: clock.now(), what });
  const lane: ProxyLane = new ProxyLane(
    {
      pause: () => void (paused = true),
      resume: () => void (paused = false),
      write(bytes) {
        received.push(bytes);
        note(`${bytes.byteLength}`);
        return taking;
      },
      end: () => note("end"),
      break: () => note("break"),
      cut(how) {
        note(how);
        lane.stop();
      },
    },
    { clock, random: seededRandom(seed), maxBufferBytes },
  );
  let strikes = 0;
  return {
    clock,
    lane,
    log,
    text: () => Buffer.concat(received).toString("latin1"),
    paused: () => paused,
    take(now: boolean) {
      taking = now;
      if (now) lane.drained();
    },
    strikes: () => strikes,
    send: (text: string) => lane.receive(Buffer.from(text, "latin1")),
    inject(fault: ProxyFault): Acting {
      const acting = { fault: settleProxyFault(fault), strike: () => void strikes++ };
      lane.add(acting);
      return acting;
    },
  };
}

/** What happens to a lane. */
interface Step {
  readonly send?: string;
  readonly wait?: number;
  readonly inject?: ProxyFault;
  readonly heal?: number;
  readonly take?: boolean;
}

/** When what was sent on, as `text at`. */
const said = ({ log }: ReturnType<typeof bed>): string[] => log.map(({ at, what }) => `${what} at ${Math.round(at)}`);
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a lane", () => {
  test("without faults sends on at once, in order, the end too", () => {
    const one = bed();
    one.send("abc");
    one.send("de");
    one.lane.receive("end");
    assert.deepEqual(said(one), ["3 at 0", "2 at 0", "end at 0"]);
    assert.equal(one.text(), "abcde");
    assert.deepEqual([one.lane.passed, one.lane.held, one.clock.pending], [5, 0, 0]);
    const other = bed();
    other.send("abc");
    other.lane.receive("break");
    assert.deepEqual(said(other), ["3 at 0", "break at 0"]);
  });

  test("latency: each piece is so late, several on their way at once", async () => {
    const one = bed();
    one.inject({ latencyMs: 200 });
    one.send("abc");
    await one.clock.advance(50);
    one.send("de");
    one.lane.receive("end");
    await one.clock.advance(1000);
    assert.deepEqual(said(one), ["3 at 200", "2 at 250", "end at 250"]);
  });

  test("latency that is drawn keeps the order", async () => {
    const one = bed();
    one.inject({ latencyMs: uniform(0, 100) });
    for (const letter of "abcdefghijklmnopqrstuvwxyz") one.send(letter);
    await one.clock.advance(100);
    assert.equal(one.text(), "abcdefghijklmnopqrstuvwxyz");
    assert.ok(one.log.some(({ at }) => at > 50));
  });

  test("bandwidth: so many bytes a second, whatever they come in", async () => {
    for (const size of [1, 10, 500]) {
      const one = bed();
      one.inject({ bytesPerSecond: 1000 });
      for (let sent = 0; sent < 500; sent += size) one.send("x".repeat(size));
      await one.clock.advance(250);
      assert.ok(Math.abs(one.lane.passed - 250) <= 20, `${one.lane.passed} after a quarter of a second`);
      await one.clock.advance(250);
      assert.equal(one.lane.passed, 500);
      // A line that was idle has saved nothing.
      await one.clock.advance(10_000);
      one.send("x".repeat(100));
      await one.clock.advance(99);
      assert.ok(one.lane.passed < 600);
      await one.clock.advance(1);
      assert.equal(one.lane.passed, 600);
    }
  });

  test("of several bandwidths the smallest counts; latencies add up", async () => {
    const one = bed();
    one.inject({ bytesPerSecond: 1000, latencyMs: 10 });
    one.inject({ bytesPerSecond: 100, latencyMs: 5 });
    one.send("x");
    await one.clock.advance(100);
    assert.deepEqual(said(one), ["1 at 25"]);
  });

  test("pieces of a size, each in a turn of its own", async () => {
    const one = bed();
    one.inject({ chunkBytes: 2 });
    one.send("abcde");
    one.lane.receive("end");
    assert.deepEqual(said(one), ["2 at 0"]);
    for (let i = 0; i < 3; i++) await nextTurn();
    assert.deepEqual(said(one), ["2 at 0", "2 at 0", "1 at 0", "end at 0"]);
    assert.equal(one.text(), "abcde");
  });

  test("loss: what is lost comes later, and all behind it waits", async () => {
    const one = bed({ seed: 2 });
    one.inject({ loss: 0.5, retransmitMs: 100 });
    for (let i = 0; i < 10; i++) one.send(String(i));
    await one.clock.advance(10_000);
    assert.equal(one.text(), "0123456789");
    const at = one.log.map((entry) => entry.at);
    assert.deepEqual(
      at,
      at.toSorted((a, b) => a - b),
    );
    assert.ok(new Set(at).size > 1 && at.every((ms) => [0, 100, 300, 700, 1500].includes(ms)), at.join());
  });

  test("a blackhole holds all, the end too; healed, it arrives at once", async () => {
    const one = bed();
    const hole = one.inject({ blackhole: true });
    one.send("abc");
    one.lane.receive("end");
    await one.clock.advance(3_600_000);
    assert.deepEqual(said(one), []);
    assert.equal(one.lane.held, 3);
    one.lane.remove(hole);
    assert.deepEqual(said(one), ["3 at 3600000", "end at 3600000"]);
  });

  test("two blackholes: both are to be healed", () => {
    const one = bed();
    const [first, second] = [one.inject({ blackhole: true }), one.inject({ blackhole: true })];
    one.send("a");
    one.lane.remove(first);
    assert.equal(one.text(), "");
    one.lane.remove(second);
    assert.equal(one.text(), "a");
  });

  test("healed, what was late or slow goes at once", async () => {
    const one = bed();
    const slow = one.inject({ latencyMs: 5000, bytesPerSecond: 1 });
    one.send("abc");
    await one.clock.advance(100);
    one.lane.remove(slow);
    assert.deepEqual(said(one), ["3 at 100"]);
    assert.equal(one.clock.pending, 0);
  });

  test("a fault that comes meanwhile holds for what waits, too", async () => {
    const one = bed();
    one.inject({ latencyMs: 100 });
    one.send("a");
    await one.clock.advance(50);
    one.inject({ latencyMs: 100 });
    await one.clock.advance(149);
    assert.deepEqual(said(one), []);
    await one.clock.advance(1);
    assert.deepEqual(said(one), ["1 at 200"]);
  });

  for (const [ending, word] of [
    [{ abort: true }, "abort"],
    [{ reset: true }, "reset"],
  ] as const) {
    test(`${word}: at once, or after exactly so many bytes`, () => {
      const now = bed();
      now.send("abc");
      now.inject(ending);
      assert.deepEqual(said(now), ["3 at 0", `${word} at 0`]);
      now.send("more");
      assert.equal(now.text(), "abc");

      const later = bed();
      later.send("before");
      later.inject({ ...ending, afterBytes: 4 });
      later.send("abc");
      assert.equal(later.strikes(), 0);
      later.send("def");
      assert.deepEqual(said(later), ["6 at 0", "3 at 0", "1 at 0", `${word} at 0`]);
      assert.equal(later.text(), "beforeabcd");
      assert.equal(later.strikes(), 1);

      const first = bed();
      first.inject({ ...ending, afterBytes: 0 });
      assert.deepEqual(said(first), []);
      first.send("a");
      assert.deepEqual(said(first), [`${word} at 0`]);
    });
  }

  test("silent after so many bytes, until it is healed", () => {
    const one = bed();
    const hole = one.inject({ blackhole: true, afterBytes: 3 });
    one.send("abcdef");
    one.lane.receive("end");
    assert.equal(one.text(), "abc");
    one.lane.remove(hole);
    assert.equal(one.text(), "abcdef");
    assert.equal(one.log.at(-1)!.what, "end");
  });

  test("corrupt: one bit of a piece is another", () => {
    const one = bed();
    one.inject({ corrupt: 1 });
    const sent = Buffer.from("what was sent");
    one.lane.receive(sent);
    const got = Buffer.from(one.text(), "latin1");
    let bits = 0;
    for (let i = 0; i < sent.byteLength; i++) bits += (sent[i]! ^ got[i]!).toString(2).replaceAll("0", "").length;
    assert.equal(bits, 1);
    assert.equal(sent.toString(), "what was sent");
  });

  test("a receiver that takes no more holds the sender back, and what is held is bounded", () => {
    const one = bed({ maxBufferBytes: 100 });
    one.take(false);
    one.send("x".repeat(60));
    assert.equal(one.paused(), false);
    one.send("x".repeat(60));
    one.send("x".repeat(60));
    assert.deepEqual([one.lane.passed, one.lane.held, one.paused()], [60, 120, true]);
    one.take(true);
    assert.deepEqual([one.lane.passed, one.lane.held, one.paused()], [180, 0, false]);
  });

  test("stopped, it keeps nothing, no timer either", () => {
    const one = bed({ maxBufferBytes: 10 });
    one.inject({ latencyMs: 100 });
    one.send("x".repeat(20));
    assert.equal(one.paused(), true);
    one.lane.stop();
    assert.deepEqual([one.lane.held, one.paused(), one.clock.pending], [0, false, 0]);
    one.send("more");
    assert.equal(one.lane.held, 0);
  });
});

test("whatever the pieces and the faults, bytes arrive complete and in order, and the end last (property)", async () => {
  const shaping = fc.record(
    {
      latencyMs: fc.oneof(fc.nat({ max: 50 }), fc.constant(uniform(0, 50))),
      bytesPerSecond: fc.integer({ min: 200, max: 100_000 }),
      chunkBytes: fc.integer({ min: 1, max: 40 }),
      loss: fc.double({ min: 0, max: 0.5, noNaN: true }),
    },
    { requiredKeys: ["latencyMs"] },
  );
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ send: fc.string({ minLength: 1, maxLength: 60, unit: "binary-ascii" }) }) },
    { weight: 2, arbitrary: fc.record({ wait: fc.nat({ max: 100 }) }) },
    { weight: 2, arbitrary: fc.record({ inject: shaping }) },
    { weight: 1, arbitrary: fc.constant({ inject: { blackhole: true } }) },
    { weight: 2, arbitrary: fc.record({ heal: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ take: fc.boolean() }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), fc.integer(), async (steps, seed) => {
      const maxBufferBytes = 100;
      const one = bed({ maxBufferBytes, seed });
      const active: Acting[] = [];
      let sent = "";
      const check = (): void => {
        assert.ok(sent.startsWith(one.text()));
        assert.equal(one.lane.passed + one.lane.held, sent.length);
        // A sender that is told to wait does.
        assert.ok(one.lane.held < maxBufferBytes + 60, `${one.lane.held} held`);
      };
      for (const { send = "", wait, inject, heal, take } of steps as Step[]) {
        if (send !== "" && !one.paused()) {
          sent += send;
          one.send(send);
        }
        if (wait !== undefined) await one.clock.advance(wait);
        if (inject !== undefined) active.push(one.inject(inject));
        if (heal !== undefined && active.length > 0) one.lane.remove(active.splice(heal % active.length, 1)[0]!);
        if (take !== undefined) one.take(take);
        check();
      }
      one.lane.receive("end" satisfies Arrival);
      one.take(true);
      for (const acting of active) if (acting.fault.ending !== undefined) one.lane.remove(acting);
      // Slow, late and lossy as it may still be, all gets there.
      for (let i = 0; i < 400 && one.log.at(-1)?.what !== "end"; i++) {
        await one.clock.advance(1000);
        await nextTurn();
      }
      assert.equal(one.text(), sent);
      assert.equal(one.log.at(-1)?.what, "end");
      assert.deepEqual([one.lane.held, one.paused(), one.clock.pending], [0, false, 0]);
    }),
    { numRuns: 200 },
  );
});

test("what is no fault is refused, by name", () => {
  const wrong: [ProxyFault, RegExp][] = [
    [{}, /nothing goes wrong: give one of latencyMs, bytesPerSecond/],
    [{ share: 1 }, /nothing goes wrong/],
    [{ latencyMs: -1 }, /latencyMs must be 0 or more and finite, got -1/],
    [{ bytesPerSecond: 0 }, /bytesPerSecond must be above 0/],
    [{ chunkBytes: 0.5 }, /chunkBytes must be a whole number above 0/],
    [{ loss: 1 }, /loss must be from 0 to below 1/],
    [{ loss: 0.1, retransmitMs: 0 }, /retransmitMs must be above 0/],
    [{ corrupt: 2 }, /corrupt must be from 0 to 1/],
    [{ reset: true, share: -0.1 }, /share must be from 0 to 1/],
    [{ reset: true, abort: true }, /one way: abort or reset/],
    [{ reset: true, refuse: true }, /one way: reset or refuse/],
    [{ reset: true, afterBytes: -1 }, /afterBytes must be a whole number, 0 or more/],
    [{ latencyMs: 5, afterBytes: 1 }, /afterBytes says when a connection ends/],
    [{ refuse: true, share: 0.5 }, /refuse .* takes no other option/],
    [{ reset: true, direction: "up" as never }, /direction must be "toServer" or "toClient", got "up"/],
    [{ reset: true, connections: "all" as never }, /connections must be "open" or "new", got "all"/],
  ];
  for (const [fault, why] of wrong) assert.throws(() => settleProxyFault(fault), why, JSON.stringify(fault));
});
