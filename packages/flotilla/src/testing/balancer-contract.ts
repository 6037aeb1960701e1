import assert from "node:assert/strict";
import type { Balancer, BalancerFactory, Candidate } from "../balance/balancer.ts";
import { randomInt, seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { background } from "../context/with.ts";

/** One test of a contract suite, for any test runner: `for (const { name, run } of suite) test(name, run)`. */
export interface ContractTest {
  readonly name: string;
  run(): void | Promise<void>;
}

interface TestCandidate extends Candidate {
  inFlight: number;
}

/**
 * What every balancer must do, whatever its policy. Each test makes a balancer of its own, on a virtual clock and a seeded
 * random.
 *
 * ```ts
 * for (const { name, run } of balancerContract(myBalancer())) test(name, run);
 * ```
 */
export function balancerContract(factory: BalancerFactory): ContractTest[] {
  const clock = new VirtualClock();
  const ctx = background(clock);
  const make = (seed: number): Balancer<TestCandidate> => factory({ clock, random: seededRandom(seed) });

  return [
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
        const picks = 8_000;
        const share = picks / list.length;
        for (const [candidate, count] of counts(balancer, picks)) {
          assert.ok(
            count >= share / 2 && count <= share * 2,
            `${candidate.instance.id} was picked ${count} times of ${picks}; its share is ${share}`,
          );
        }
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
            balancer.done?.(ended, 5, undefined);
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

  function counts(balancer: Balancer<TestCandidate>, picks: number): Map<TestCandidate, number> {
    const result = new Map<TestCandidate, number>();
    for (let i = 0; i < picks; i++) {
      const picked = balancer.pick(ctx)!;
      result.set(picked, (result.get(picked) ?? 0) + 1);
      balancer.done?.(picked, 1, undefined);
    }
    return result;
  }
}

function candidates(n: number): TestCandidate[] {
  return Array.from({ length: n }, (_, i) => ({
    instance: { id: `instance-${i}`, address: `http://127.0.0.1:${10_000 + i}` },
    inFlight: 0,
  }));
}

function mustPick(picked: TestCandidate | undefined, list: readonly TestCandidate[]): TestCandidate {
  assert.ok(picked !== undefined, "picked nothing although candidates are listed");
  assert.ok(list.includes(picked), `picked ${picked.instance.id}, which is not listed`);
  return picked;
}
