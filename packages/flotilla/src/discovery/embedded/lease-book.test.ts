import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Clock } from "../../clock/clock.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Lease } from "./lease.ts";
import { LeaseBook } from "./lease-book.ts";

const TTL_MS = 5000;
const LOOK_MS = 500;

function leaseOf(id: string, sinceMs = 0, token = "0".repeat(16)): Lease {
  return { service: "s", instance: { id, address: "http://127.0.0.1:1" }, token, sinceMs, ttlMs: TTL_MS, pid: 1 };
}

/** A machine: a clock whose wall time may jump, an owner that touches its lease, and a watch that looks at it. */
class Machine {
  readonly time = new VirtualClock({ epochMs: 1_000_000_000 });
  jumpedMs = 0;
  readonly clock: Clock = {
    now: () => this.time.now(),
    epoch: () => this.time.epoch() + this.jumpedMs,
    schedule: (ms, callback) => this.time.schedule(ms, callback),
  };
  readonly book = new LeaseBook(this.clock);
  #mtimeMs = this.clock.epoch();
  #dueMs = 0;

  heartbeat(): void {
    this.#mtimeMs = this.clock.epoch();
  }

  /** A look at the folder, as a watch does it. */
  look(): boolean {
    this.book.begin(this.#dueMs);
    const stamp = { inode: 1, size: 1, mtimeMs: this.#mtimeMs, plain: true };
    const entry = this.book.get("a");
    if (entry === undefined) this.book.add("a", leaseOf("a"), stamp);
    else this.book.see(entry, stamp);
    this.#dueMs = this.clock.now() + LOOK_MS;
    return this.book.alive().length === 1;
  }

  /** Looks as often as it should; heartbeats too, unless told otherwise. Whether the lease was found alive at each look. */
  async run(ms: number, beatMs = Infinity): Promise<boolean[]> {
    const found: boolean[] = [];
    for (let passed = LOOK_MS; passed <= ms; passed += LOOK_MS) {
      await this.time.advance(LOOK_MS);
      if (passed % beatMs === 0) this.heartbeat();
      found.push(this.look());
    }
    return found;
  }
}

describe("LeaseBook", () => {
  test("a lease lives for its ttl from its last heartbeat", async () => {
    const machine = new Machine();
    assert.equal(machine.look(), true);
    const found = await machine.run(8000);
    assert.equal(found.indexOf(false), TTL_MS / LOOK_MS - 1);
    assert.ok(found.slice(TTL_MS / LOOK_MS).every((alive) => !alive));
  });

  test("no jump of the wall clock ends a lease that is renewed, or keeps for long one that is not", async () => {
    // Three looks at least between two jumps: in fewer no heartbeat falls due.
    const jumps = fc.array(fc.tuple(fc.integer({ min: -1e8, max: 1e8 }), fc.integer({ min: 3, max: 20 })), {
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(jumps, async (list) => {
        const machine = new Machine();
        machine.look();
        for (const [jumpMs, looks] of list) {
          machine.jumpedMs += jumpMs;
          const found = await machine.run(looks * LOOK_MS, 1500);
          assert.ok(!found.includes(false), "gone although it was renewed");
        }
        // The owner dies right after a jump.
        machine.jumpedMs += list[0]?.[0] ?? 0;
        const after = await machine.run(2 * TTL_MS);
        assert.ok(after.lastIndexOf(true) * LOOK_MS <= TTL_MS, "found for longer than its ttl");
      }),
    );
  });

  test("a heartbeat between which and the look the wall clock jumped counts in full", async () => {
    for (const jumpMs of [3_600_000, -3_600_000]) {
      const machine = new Machine();
      machine.look();
      machine.jumpedMs = 1;
      machine.heartbeat();
      await machine.time.advance(LOOK_MS);
      machine.jumpedMs = jumpMs;
      assert.equal(machine.look(), true);
      const found = await machine.run(TTL_MS);
      assert.equal(found.indexOf(false), TTL_MS / LOOK_MS - 1);
    }
  });

  test("a lease seen first when it had long run out is not alive; one from the future has its ttl", async () => {
    const old = new Machine();
    await old.time.advance(60_000);
    assert.equal(old.look(), false);
    const future = new Machine();
    future.jumpedMs = 3_600_000;
    future.heartbeat();
    future.jumpedMs = 0;
    assert.equal(future.look(), true);
    const found = await future.run(2 * TTL_MS);
    assert.equal(found.indexOf(false), TTL_MS / LOOK_MS - 1);
  });

  test("a watch that was held up gives those that ran out meanwhile half a ttl more", async () => {
    const machine = new Machine();
    machine.look();
    // The whole machine slept: nobody looked, nobody touched.
    await machine.time.advance(60_000);
    assert.equal(machine.look(), true);
    machine.heartbeat();
    assert.ok(!(await machine.run(TTL_MS - LOOK_MS)).includes(false), "renewed just after waking up");
    const dead = new Machine();
    dead.look();
    await dead.time.advance(60_000);
    const found = [dead.look(), ...(await dead.run(TTL_MS))];
    assert.equal(found.indexOf(false) * LOOK_MS, TTL_MS / 2);
  });

  test("a file may be swept a ttl after its lease ran out, and no sooner", async () => {
    const machine = new Machine();
    machine.look();
    await machine.run(2 * TTL_MS - LOOK_MS);
    assert.deepEqual(machine.book.sweepable(), []);
    await machine.run(LOOK_MS);
    assert.equal(machine.book.sweepable().length, 1);
    assert.deepEqual(machine.book.sweepable(), [], "where that failed, tried again a ttl later");
    await machine.run(TTL_MS);
    assert.equal(machine.book.sweepable().length, 1);
  });

  test("of two leases of one id the later counts, whichever is seen first", () => {
    for (const order of [
      ["x", "y"],
      ["y", "x"],
    ]) {
      const machine = new Machine();
      machine.book.begin(0);
      const stamp = { inode: 1, size: 1, mtimeMs: machine.clock.epoch(), plain: true };
      for (const name of order) {
        const lease = leaseOf("same", name === "x" ? 1 : 2);
        machine.book.add(name, { ...lease, instance: { ...lease.instance, version: name } }, stamp);
      }
      assert.deepEqual(
        machine.book.alive().map(({ version }) => version),
        ["y"],
      );
    }
  });
});
