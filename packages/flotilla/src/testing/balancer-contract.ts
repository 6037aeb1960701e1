import assert from "node:assert/strict";
import type { Balancer, BalancerFactory, Candidate } from "../balance/balancer.ts";
import { randomInt, seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { background } from "../context/with.ts";
import type { Instance } from "../endpoint/instance.ts";

/** One test of a contract suite, for any test runner: `for (const { name, run } of suite) test(name, run)`. */
export interface ContractTest {
  readonly name: string;
  run(): void | Promise<void>;
}

interface TestCandidate extends Candidate {
  instance: Instance;
  inFlight: number;
}

/** What {@link balancerContract} may be told of a balancer. */
export interface BalancerContractOptions {
  /** Whether it heeds `instance.weight`. Default true; `false` leaves out the tests of that. */
  readonly weighted?: boolean;
  /** The zone of each instance. Default: none has one. */
  readonly zone?: (i: number) => string;
}

/**
 * What every balancer must do, whatever its policy. Each test makes a balancer of its own, on a virtual clock and a seeded
 * random.
 *
 * ```ts
 * for (const { name, run } of balancerContract(myBalancer())) test(name, run);
 * ```
 */
export function balancerContract(
  factory: BalancerFactory,
  { weighted = true, zone }: BalancerContractOptions = {},
): ContractTest[] {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const make = (seed: number): Balancer<TestCandidate> => factory({ clock, random: seededRandom(seed) });

  const candidates = (n: number, weight?: (i: number) => number): TestCandidate[] =>
    Array.from({ length: n }, (_, i) => {
      const instance = {
        id: `instance-${i}`,
        address: `http://127.0.0.1:${10_000 + i}`,
        ...(zone !== undefined && { zone: zone(i) }),
        ...(weight !== undefined && { weight: weight(i) }),
      };
      return { instance, inFlight: 0 };
    });

  const tests: ContractTest[] = [
    {
      name: "picks nothing before the first update and from an empty list",
      run() {
        const balancer = make(1);
        assert.equal(balancer.pick(ctx), undefined);
        assert.equal(balancer.pick(ctx, new Set(candidates(2))), undefined);
        balancer.update([]);
        assert.equal(balancer.pick(ctx), undefined);
        balancer.update(candidates(3));
        balancer.update([]);
        assert.equal(balancer.pick(ctx), undefined);
        assert.equal(balancer.pick(ctx, new Set(candidates(1))), undefined);
      },
    },
    {
      name: "picks the only candidate every time",
      run() {
        const balancer = make(2);
        const [only] = candidates(1);
        balancer.update([only!]);
        for (let i = 0; i < 20; i++) assert.equal(balancer.pick(ctx), only);
      },
    },
    {
      name: "avoids what was tried as long as another is left",
      run() {
        const balancer = make(3);
        const list = candidates(10);
        balancer.update(list);
        for (let round = 0; round < 50; round++) {
          const tried = new Set<TestCandidate>();
          while (tried.size < list.length) {
            const picked = mustPick(balancer.pick(ctx, tried), list);
            assert.ok(!tried.has(picked), `picked ${picked.instance.id} again although others were left`);
            tried.add(picked);
          }
        }
      },
    },
    {
      name: "picks one all the same when all were tried",
      run() {
        const balancer = make(4);
        for (const n of [1, 2, 5]) {
          const list = candidates(n);
          balancer.update(list);
          for (let i = 0; i < 20; i++) mustPick(balancer.pick(ctx, new Set(list)), list);
        }
      },
    },
    {
      name: "ignores what was tried but is no longer listed",
      run() {
        const balancer = make(5);
        const list = candidates(3);
        balancer.update(list);
        const tried = new Set(candidates(20));
        for (let i = 0; i < 50; i++) mustPick(balancer.pick(ctx, tried), list);
      },
    },
    {
      name: "never picks one that was removed, nor needs the caller's array afterwards",
      run() {
        const balancer = make(6);
        const list = candidates(6);
        const given = list.slice();
        balancer.update(given);
        given.length = 0;
        for (let i = 0; i < 50; i++) mustPick(balancer.pick(ctx), list);
        const left = list.slice(0, 2);
        balancer.update(Object.freeze(left.slice()));
        for (let i = 0; i < 200; i++) mustPick(balancer.pick(ctx), left);
      },
    },
    {
      name: "picks every candidate sooner or later, new ones too",
      run() {
        const balancer = make(7);
        const list = candidates(20);
        for (const n of [5, 20]) {
          balancer.update(list.slice(0, n));
          assert.equal(counts(balancer, 4_000).size, n);
        }
      },
    },
    {
      name: "gives equal, idle candidates between half and twice their share",
      run() {
        const balancer = make(8);
        const list = candidates(8);
        balancer.update(list);
        fair(list, counts(balancer, 8_000));
      },
    },
    {
      name: "holds all of this while calls and updates come in any order",
      run() {
        const balancer = make(9);
        const random = seededRandom(99);
        const pool = candidates(30);
        const running: TestCandidate[] = [];
        let list: TestCandidate[] = [];
        for (let step = 0; step < 20_000; step++) {
          if (step % 50 === 0) {
            list = pool.filter(() => random.next() < 0.5);
            balancer.update(list);
          }
          if (running.length > 0 && random.next() < 0.5) {
            const ended = running.splice(randomInt(random, running.length), 1)[0]!;
            ended.inFlight--;
            balancer.done?.(ended, 5, undefined, clock.now());
          }
          const tried = new Set(list.filter(() => random.next() < 0.3));
          const picked = balancer.pick(ctx, tried);
          if (list.length === 0) {
            assert.equal(picked, undefined);
            continue;
          }
          mustPick(picked, list);
          if (tried.size < list.length)
            assert.ok(!tried.has(picked!), "picked one that was tried although others were left");
          picked!.inFlight++;
          running.push(picked!);
        }
      },
    },
  ];
  if (!weighted) return tests;
  return [
    ...tests,
    {
      name: "gives idle candidates between half and twice the share their weights say",
      run() {
        const balancer = make(10);
        const list = candidates(8, (i) => [1, 2, 5, 0.5][i % 4]!);
        balancer.update(list);
        fair(list, counts(balancer, 20_000));
      },
    },
    {
      name: "gives busy candidates between half and twice the share their weights say",
      run() {
        const balancer = make(11);
        const random = seededRandom(98);
        const list = candidates(8, (i) => [1, 2, 5, 0.5][i % 4]!);
        balancer.update(list);
        const result = new Map<TestCandidate, number>();
        for (let i = 0; i < 20_000; i++) {
          const picked = balancer.pick(ctx)!;
          result.set(picked, (result.get(picked) ?? 0) + 1);
          picked.inFlight++;
          // Each serves as much as it weighs: of 200 calls about 12 a unit of weight are under way.
          if (i < 200) continue;
          let drawn = random.next() * list.reduce((sum, { inFlight, instance }) => sum + busy(inFlight, instance), 0);
          const ended = list.find(({ inFlight, instance }) => (drawn -= busy(inFlight, instance)) < 0) ?? picked;
          ended.inFlight--;
          balancer.done?.(ended, 1, undefined, clock.now());
        }
        fair(list, result);
      },
    },
    {
      name: "takes a weight that is no positive, finite number for 1",
      run() {
        const balancer = make(12);
        const list = candidates(8, (i) => [0, -3, Number.NaN, Infinity][i % 4]!);
        balancer.update(list);
        fair(
          list.map((candidate) => ({ ...candidate, instance: { ...candidate.instance, weight: 1 } })),
          counts(balancer, 8_000),
        );
      },
    },
    {
      name: "follows weights that change",
      run() {
        const balancer = make(13);
        const list = candidates(4, () => 1);
        balancer.update(list);
        counts(balancer, 100);
        list[0]!.instance = { ...list[0]!.instance, weight: 5 };
        balancer.update(list);
        fair(list, counts(balancer, 8_000));
      },
    },
  ];

  function counts(balancer: Balancer<TestCandidate>, picks: number): Map<TestCandidate, number> {
    const result = new Map<TestCandidate, number>();
    for (let i = 0; i < picks; i++) {
      const picked = balancer.pick(ctx)!;
      result.set(picked, (result.get(picked) ?? 0) + 1);
      balancer.done?.(picked, 1, undefined, clock.now());
    }
    return result;
  }
}

/** Each picked between half and twice as often as its weight says. */
function fair(list: readonly TestCandidate[], counts: ReadonlyMap<TestCandidate, number>): void {
  const found = new Map(Array.from(counts, ([{ instance }, count]) => [instance.id, count]));
  const picks = Array.from(counts.values()).reduce((sum, count) => sum + count, 0);
  const total = list.reduce((sum, { instance }) => sum + (instance.weight ?? 1), 0);
  for (const { instance } of list) {
    const share = (picks * (instance.weight ?? 1)) / total;
    const count = found.get(instance.id) ?? 0;
    assert.ok(
      count >= share / 2 && count <= share * 2,
      `${instance.id} was picked ${count} times of ${picks}; its share is ${share}`,
    );
  }
}

/** What an instance serves in a unit of time: as much as it weighs, as long as it has something to do. */
function busy(inFlight: number, instance: Instance): number {
  return inFlight > 0 ? (instance.weight ?? 1) : 0;
}

function mustPick(picked: TestCandidate | undefined, list: readonly TestCandidate[]): TestCandidate {
  assert.ok(picked !== undefined, "picked nothing although candidates are listed");
  assert.ok(list.includes(picked), `picked ${picked.instance.id}, which is not listed`);
  return picked;
}
