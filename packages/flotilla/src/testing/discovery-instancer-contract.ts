import assert from "node:assert/strict";
import type { Instancer } from "../discovery/discovery.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { ContractTest } from "./balancer-contract.ts";
import { SnapshotRecorder, until } from "./discovery-recorder.ts";

/** An instancer under test, and the way to its source. */
export interface InstancerBed {
  readonly instancer: Instancer;
  /**
   * Makes the source hold exactly these instances of a service. Absent where the source cannot change. Ids and metadata may be
   * the source's own: the suite compares addresses.
   */
  readonly set?: (service: string, instances: readonly Instance[]) => Promise<void>;
  /** Ends everything the bed has started. */
  close(): Promise<void>;
}

const service = "contract.v1.Instancer";

/**
 * What every instancer must do. Each test makes a bed of its own and closes it.
 *
 * ```ts
 * for (const { name, run } of instancerContract(makeBed)) test(name, run);
 * ```
 *
 * @param make - makes a bed whose source holds the given instances, addresses being `http://127.0.0.N:PORT`.
 */
export function instancerContract(
  make: (initial: Readonly<Record<string, readonly Instance[]>>) => Promise<InstancerBed>,
): ContractTest[] {
  const [a, b, c] = [instance(1), instance(2), instance(3)];

  const withBed =
    (initial: readonly Instance[], body: (bed: InstancerBed) => Promise<void>): (() => Promise<void>) =>
    async () => {
      const bed = await make({ [service]: initial });
      try {
        await body(bed);
      } finally {
        await bed.close();
      }
    };
  const withSet = (
    initial: readonly Instance[],
    body: (instancer: Instancer, set: (instances: readonly Instance[]) => Promise<void>) => Promise<void>,
  ): (() => Promise<void>) =>
    withBed(initial, async ({ instancer, set }) => {
      if (set !== undefined) await body(instancer, (instances) => set(service, instances));
    });

  return [
    {
      name: "gives the full snapshot, ordered by id, and not within watch",
      run: withBed([c, a, b], async ({ instancer }) => {
        const seen = new SnapshotRecorder();
        const watch = instancer.watch(service, seen);
        assert.equal(seen.told.length, 0, "told within watch");
        await first(seen);
        watch.stop();
        assert.deepEqual(seen.addresses, addresses([a, b, c]));
        const ids = seen.last!.map(({ id }) => id);
        assert.deepEqual(ids, [...new Set(ids)].sort());
      }),
    },
    {
      name: "gives the empty snapshot for a service nobody has registered",
      run: withBed([a], async ({ instancer }) => {
        const seen = new SnapshotRecorder();
        const watch = instancer.watch("contract.v1.Nobody", seen);
        await first(seen);
        watch.stop();
        assert.deepEqual(seen.last, []);
      }),
    },
    {
      name: "tells nothing after stop, which may come before the first snapshot, within an update, and twice",
      run: withBed([a], async ({ instancer, set }) => {
        const never = new SnapshotRecorder();
        instancer.watch(service, never).stop();
        const once = new SnapshotRecorder(() => watch.stop());
        const watch = instancer.watch(service, once);
        const witness = new SnapshotRecorder();
        const other = instancer.watch(service, witness);
        await first(witness);
        await first(once);
        watch.stop();
        await set?.(service, [a, b]);
        if (set !== undefined) await shows(witness, [a, b]);
        other.stop();
        other.stop();
        assert.equal(never.told.length, 0);
        assert.equal(once.told.length, 1);
      }),
    },
    {
      name: "tells each of many observers, those who come later too",
      run: withBed([a, b], async ({ instancer }) => {
        const many = Array.from({ length: 20 }, () => new SnapshotRecorder());
        const watches = many.map((seen) => instancer.watch(service, seen));
        for (const seen of many) await first(seen);
        const late = new SnapshotRecorder();
        watches.push(instancer.watch(service, late));
        assert.equal(late.told.length, 0, "told within watch");
        await first(late);
        for (const watch of watches) watch.stop();
        for (const seen of [...many, late]) assert.deepEqual(seen.addresses, addresses([a, b]));
      }),
    },
    {
      name: "tells of every change with a full snapshot, down to the empty one and back",
      run: withSet([a], async (instancer, set) => {
        const seen = new SnapshotRecorder();
        const watch = instancer.watch(service, seen);
        for (const list of [[a], [a, b, c], [c], [], [b, a]]) {
          await set(list);
          await shows(seen, list);
        }
        watch.stop();
      }),
    },
    {
      name: "never gives the same snapshot twice",
      run: withSet([a, b], async (instancer, set) => {
        const seen = new SnapshotRecorder();
        const watch = instancer.watch(service, seen);
        await shows(seen, [a, b]);
        for (const list of [[b, a], [a, b, c], [c, b, a], [a]]) {
          await set(list);
          await shows(seen, list);
        }
        watch.stop();
        for (let i = 1; i < seen.snapshots.length; i++) assert.notDeepEqual(seen.snapshots[i], seen.snapshots[i - 1]);
      }),
    },
    {
      name: "keeps the watches of two services apart",
      run: withBed([a, b], async ({ instancer, set }) => {
        const [mine, other] = [new SnapshotRecorder(), new SnapshotRecorder()];
        const watches = [instancer.watch(service, mine), instancer.watch("contract.v1.Other", other)];
        await shows(mine, [a, b]);
        if (set !== undefined) {
          await set("contract.v1.Other", [c]);
          await shows(other, [c]);
        } else await first(other);
        for (const watch of watches) watch.stop();
        assert.equal(mine.snapshots.length, 1);
      }),
    },
  ];
}

function instance(n: number): Instance {
  return { id: `instance-${n}`, address: `http://127.0.0.${n}:${8000 + n}` };
}

function addresses(instances: readonly Instance[]): string[] {
  return instances.map(({ address }) => address).sort();
}

function first(seen: SnapshotRecorder): Promise<void> {
  return until("a first snapshot", () => seen.snapshots.length > 0);
}

function shows(seen: SnapshotRecorder, instances: readonly Instance[]): Promise<void> {
  const wanted = addresses(instances).join();
  return until(`the snapshot [${wanted}]`, () => seen.addresses?.join() === wanted && seen.last !== undefined);
}
