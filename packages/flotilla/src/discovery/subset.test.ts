import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Instance } from "../endpoint/instance.ts";
import { ServiceError } from "../errors/service-error.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { subset } from "./subset.ts";

const instances = (n: number): Instance[] =>
  Array.from({ length: n }, (_, i) => ({ id: `i-${String(i).padStart(5, "0")}`, address: `http://h${i}` }));

/** What a client is shown of these. */
function shown(all: readonly Instance[], size: number, client: number | string): readonly Instance[] {
  let seen: readonly Instance[] = [];
  subset(
    {
      watch(_service, observer) {
        observer.update(all);
        return { stop() {} };
      },
    },
    { size, client },
  ).watch("s", { update: (found) => (seen = found), error() {} });
  return seen;
}

describe("with numbers", () => {
  test("every instance has the same number of clients, to one, however many there are; none has more than asked for, or less than two thirds", () => {
    const numbers = [
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 100 }),
    ];
    fc.assert(
      fc.property(fc.tuple(...numbers), ([n = 1, size = 1, clients = 1]) => {
        const all = instances(n);
        const counts = new Map(all.map(({ id }) => [id, 0]));
        for (let client = 0; client < clients; client++) {
          const found = shown(all, size, client);
          assert.ok(found.length <= size, `${found.length} of ${size}`);
          // Of two and a bit there are three: two thirds of each.
          assert.ok(
            found.length >= Math.min(n, Math.floor(size * (n > 2 * size ? 2 / 3 : 1 / 2))),
            `${found.length} of ${size}`,
          );
          assert.equal(new Set(found).size, found.length);
          for (const { id } of found) counts.set(id, counts.get(id)! + 1);
        }
        const least = Math.min(...counts.values());
        for (const count of counts.values())
          assert.ok(count <= least + 1, `${count} clients of one, ${least} of another`);
      }),
      { numRuns: 100 },
    );
  });

  test("while instances come one by one, few connections move, and everything at once hardly ever", () => {
    const all = instances(400);
    const clients = 30;
    let before: ReadonlySet<Instance>[] = [];
    let moved = 0;
    let upheavals = 0;
    for (let n = 200; n <= 400; n++) {
      const now = Array.from({ length: clients }, (_, client) => new Set(shown(all.slice(0, n), 20, client)));
      if (before.length > 0) {
        const fresh = now.reduce(
          (sum, found, client) => sum + [...found].filter((instance) => !before[client]!.has(instance)).length,
          0,
        );
        const share = fresh / now.reduce((sum, { size }) => sum + size, 0);
        moved += share / 200;
        if (share > 0.2) upheavals++;
      }
      before = now;
    }
    // From 12 subsets to 16, and to 24; one for each twenty instances would be ten.
    assert.ok(upheavals <= 2, `${upheavals} upheavals`);
    assert.ok(moved < 0.035, `${moved} of the connections for each instance that comes`);
  });

  test("when one of a thousand goes, a client loses and gains a few at most", () => {
    const all = instances(1000);
    const without = all.filter((_, i) => i !== 500);
    for (let client = 0; client < 150; client++) {
      const before = new Set(shown(all, 20, client));
      const kept = shown(without, 20, client).filter((instance) => before.has(instance)).length;
      assert.ok(kept >= before.size - 3, `client ${client} kept ${kept} of ${before.size}`);
    }
  });
});

describe("with names", () => {
  test("each has its own choice, of the size asked for, spread over all", () => {
    const all = instances(100);
    const counts = new Map(all.map(({ id }) => [id, 0]));
    for (let client = 0; client < 1000; client++) {
      const found = shown(all, 10, `client-${client}`);
      assert.equal(found.length, 10);
      for (const { id } of found) counts.set(id, counts.get(id)! + 1);
    }
    for (const count of counts.values()) assert.ok(count > 60 && count < 145, `${count} of 100`);
  });

  test("when one goes, only those who had it change, by one", () => {
    const all = instances(100);
    const without = all.filter((_, i) => i !== 50);
    for (let client = 0; client < 100; client++) {
      const before = shown(all, 10, `c${client}`);
      const after = new Set(shown(without, 10, `c${client}`));
      const lost = before.filter((instance) => !after.has(instance));
      assert.deepEqual(lost, before.includes(all[50]!) ? [all[50]] : []);
    }
  });
});

test("few instances are all shown, failures are passed on, watches end", async () => {
  const registry = new TestRegistry();
  registry.set("s", ["http://a", "http://b"]);
  const told: unknown[] = [];
  const watch = subset(registry, { size: 5, client: 0 }).watch("s", {
    update: (found) => void told.push(found.length),
    error: (error) => void told.push(error.message),
  });
  await Promise.resolve();
  registry.fail(new ServiceError("unavailable", "gone"));
  watch.stop();
  assert.deepEqual(told, [2, "gone"]);
  assert.equal(registry.watches("s"), 0);
});

test("options that are not legal are refused, by name", () => {
  assert.doesNotThrow(() => subset(new TestRegistry(), { client: "any" }));
  assert.throws(() => subset(new TestRegistry(), { size: 0, client: 0 }), /subset: size/);
  assert.throws(() => subset(new TestRegistry(), { size: 1, client: -1 }), /subset: client/);
});
