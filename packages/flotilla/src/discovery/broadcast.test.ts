import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Instance } from "../endpoint/instance.ts";
import { Broadcast } from "./broadcast.ts";
import { byId } from "./check.ts";

/** Some of a few instances, each in one of two versions, in any order. */
const snapshot = fc
  .uniqueArray(fc.record({ id: fc.constantFrom("a", "b", "c", "d", "e", "f"), version: fc.constantFrom("1", "2") }), {
    selector: ({ id }) => id,
  })
  .map((all) => all.map((one): Instance => ({ ...one, address: `http://${one.id}` })));

async function listening(): Promise<{ broadcast: Broadcast; told: (readonly Instance[])[] }> {
  const broadcast = new Broadcast();
  const told: (readonly Instance[])[] = [];
  broadcast.add({ update: (instances) => told.push(instances), error: assert.fail });
  await Promise.resolve();
  return { broadcast, told };
}

describe("Broadcast", () => {
  test("snapshots are in order, those who stay are the same objects, and nothing new is not told", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(snapshot, { maxLength: 8 }), async (snapshots) => {
        const { broadcast, told } = await listening();
        let last: readonly Instance[] | undefined;
        for (const found of snapshots) {
          const before = told.length;
          const given = found.slice();
          broadcast.update(found);
          assert.deepEqual(found, given, "what was given is as it was");
          const sorted = found.toSorted(byId);
          const changed = last === undefined || JSON.stringify(sorted) !== JSON.stringify(last);
          assert.equal(told.length - before, changed ? 1 : 0);
          if (!changed) continue;
          const now = told.at(-1)!;
          assert.deepEqual(now, sorted);
          assert.ok(Object.isFrozen(now));
          for (const one of now) {
            const known: Instance | undefined = last?.find(({ id }) => id === one.id);
            if (known?.version === one.version) assert.equal(one, known);
          }
          last = now;
        }
      }),
    );
  });

  test("a frozen snapshot in order is handed on as it is", async () => {
    const { broadcast, told } = await listening();
    const found = Object.freeze(["a", "b"].map((id) => ({ id, address: `http://${id}` })));
    broadcast.update(found);
    broadcast.update(found);
    assert.equal(told.length, 1);
    assert.equal(told[0], found);
  });
});
