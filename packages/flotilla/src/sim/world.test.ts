import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { z } from "zod";
import { constant, exponential } from "../clock/distribution.ts";
import type { Context } from "../context/context.ts";
import { sleep } from "../context/sleep.ts";
import { withTimeout } from "../context/with.ts";
import { contract, type Implementation } from "../contract/contract.ts";
import { bidiStream, clientStream, serverStream, unary } from "../contract/method.ts";
import type { ServiceError } from "../errors/service-error.ts";
import { serverCall } from "../metadata/call.ts";
import { implement } from "../service/implement.ts";
import type { Program } from "./machine.ts";
import type { NetworkOptions } from "./network.ts";
import type { SimChannelOptions } from "./process.ts";
import { simulate, type World } from "./world.ts";

const note = z.object({ n: z.number() });
const Notes = contract("sim.test.Notes", {
  one: unary({ input: note, output: note, idempotent: true }),
  add: unary({ input: note, output: note }),
  many: serverStream({ input: note, output: note }),
  sum: clientStream({ input: note, output: note }),
  chat: bidiStream({ input: note, output: note }),
});

const notes: Implementation<typeof Notes> = {
  one: async (_ctx, request) => request,
  add: async (_ctx, request) => request,
  async *many(_ctx, { n }) {
    for (let i = 0; i < n; i++) yield { n: i };
  },
  async sum(_ctx, requests) {
    let n = 0;
    for await (const request of requests) n += request.n;
    return { n };
  },
  async *chat(_ctx, requests) {
    for await (const { n } of requests) yield { n: n * 2 };
  },
};

const serving =
  (implementation: Partial<Implementation<typeof Notes>> = {}): Program =>
  async (process) => {
    await process.host({ serve: [implement(Notes, { ...notes, ...implementation })], onError() {} });
  };

const plain: SimChannelOptions = { retry: false, throttle: false, ejection: false };

/** The outcome of some work in virtual time. */
async function after<T>(world: World, ms: number, work: Promise<T>): Promise<T | ServiceError | "pending"> {
  let outcome: T | ServiceError | "pending" = "pending";
  work.then(
    (value) => (outcome = value),
    (error: unknown) => (outcome = error as ServiceError),
  );
  await world.run(ms);
  return outcome;
}

const at = (network: NetworkOptions = { latency: constant(5) }) => ({ seed: 1, network });

describe("calls", () => {
  test("take the network both ways, and the processor", async () => {
    await simulate(at(), async (world) => {
      await world.machine("notes", async (process) => {
        await process.host({ serve: [implement(Notes, notes, { use: [process.work(20)] })] });
      });
      const caller = await world.caller("caller");
      const client = caller.client(Notes);
      await after(world, 1000, client.one(caller.ctx, { n: 0 }));
      const startedMs = world.clock.now();
      let endedMs = 0;
      const call = client.one(caller.ctx, { n: 3 }).then((response) => {
        endedMs = world.clock.now();
        return response;
      });
      assert.deepEqual(await after(world, 100, call), { n: 3 });
      assert.equal(endedMs - startedMs, 30);
    });
  });

  test("of every kind", async () => {
    await simulate(at(), async (world) => {
      await world.machine("notes", serving());
      const caller = await world.caller("caller");
      const client = caller.client(Notes);
      const { ctx } = caller;
      const numbers = async function* (n: number) {
        for (let i = 1; i <= n; i++) yield { n: i };
      };
      const read = async (stream: AsyncIterable<{ n: number }>): Promise<number[]> => {
        const all: number[] = [];
        for await (const { n } of stream) all.push(n);
        return all;
      };
      const work = Promise.all([
        client.add(ctx, { n: 1 }),
        read(client.many(ctx, { n: 100 })),
        client.sum(ctx, numbers(100)),
        read(client.chat(ctx, numbers(50))),
      ]);
      const outcome = (await after(world, 20_000, work)) as unknown as unknown[];
      assert.deepEqual(outcome[0], { n: 1 });
      assert.deepEqual(
        outcome[1],
        Array.from({ length: 100 }, (_, i) => i),
      );
      assert.deepEqual(outcome[2], { n: 5050 });
      assert.deepEqual(
        outcome[3],
        Array.from({ length: 50 }, (_, i) => (i + 1) * 2),
      );
    });
  });

  test("streams keep their order though messages are lost and overtake each other", async () => {
    await simulate(at({ latency: exponential(10), loss: 0.2 }), async (world) => {
      await world.machine("notes", serving());
      const caller = await world.caller("caller");
      const client = caller.client(Notes);
      const all: number[] = [];
      const read = async (): Promise<void> => {
        for await (const { n } of client.many(caller.ctx, { n: 300 })) all.push(n);
      };
      await after(world, 300_000, read());
      assert.deepEqual(
        all,
        Array.from({ length: 300 }, (_, i) => i),
      );
      assert.ok(world.network.counts.repeated > 20);
    });
  });

  test("cancelled at the client are cancelled at the server, one way later", async () => {
    await simulate(at(), async (world) => {
      let gaveUpMs = 0;
      await world.machine(
        "notes",
        serving({
          async one(ctx, request) {
            await sleep(ctx, 10_000).catch(() => (gaveUpMs = world.clock.now()));
            return request;
          },
        }),
      );
      const caller = await world.caller("caller");
      const client = caller.client(Notes, plain);
      await after(world, 500, client.add(caller.ctx, { n: 1 }));
      const startedMs = world.clock.now();
      const outcome = await after(world, 200, client.one(withTimeout(caller.ctx, 100), { n: 1 }));
      assert.equal((outcome as ServiceError).code, "deadline_exceeded");
      assert.ok(gaveUpMs - startedMs <= 106, `the handler went on for ${gaveUpMs - startedMs} ms`);
    });
  });

  test("may arrive twice, where the network does that", async () => {
    await simulate(at({ latency: constant(1), duplication: 1 }), async (world) => {
      let served = 0;
      await world.machine("notes", serving({ add: async (_ctx, request) => ({ n: request.n + ++served }) }));
      const caller = await world.caller("caller");
      assert.deepEqual(await after(world, 1000, caller.client(Notes).add(caller.ctx, { n: 0 })), { n: 1 });
      assert.equal(served, 2);
    });
  });

  test("what becomes of the second copy is nothing to the caller", async () => {
    let sent = 0;
    // To the server: the first at once, the second when it takes in no more.
    const latency: NetworkOptions["latency"] = (from, to) =>
      from.name === "caller" && to.name === "notes" ? constant(sent++ % 2 === 0 ? 1 : 20) : constant(1);
    await simulate(at({ latency, duplication: 1 }), async (world) => {
      const slow = implement(Notes, { ...notes, add: (ctx, request) => sleep(ctx, 100).then(() => request) });
      const machine = await world.machine("notes", async (process) => {
        await process.host({ serve: [slow], drainDelayMs: 0 });
      });
      const caller = await world.caller("caller");
      const client = caller.client(Notes, plain);
      await world.run(100);
      const call = client.add(caller.ctx, { n: 7 });
      world.at(world.clock.now() + 10, () => machine.stop());
      assert.deepEqual(await after(world, 500, call), { n: 7 });
      assert.equal(sent, 2);
    });
  });

  test("are counted, attempts and all, and whoever is interested is told of the world", async () => {
    const told: string[] = [];
    const onBegin = (world: unknown): void => void told.push(`began ${(world as World).seed}`);
    const onEnd = (world: unknown): void => void told.push(`${(world as World).network.counts.calls} calls`);
    subscribe("flotilla.sim.began", onBegin);
    subscribe("flotilla.sim.ended", onEnd);
    try {
      const failing = simulate(at(), async (world) => {
        await world.machine("notes", serving({ one: () => Promise.reject(new Error("broken")) }));
        const caller = await world.caller("caller");
        const client = caller.client(Notes, plain);
        await after(world, 500, client.one(caller.ctx, { n: 1 }));
        await after(world, 500, client.add(caller.ctx, { n: 1 }));
        throw new Error("that is all");
      });
      await assert.rejects(failing, /that is all/);
    } finally {
      unsubscribe("flotilla.sim.began", onBegin);
      unsubscribe("flotilla.sim.ended", onEnd);
    }
    assert.deepEqual(told, ["began 1", "2 calls"]);
  });

  test("of one stream of traffic may come from many processes", async () => {
    await simulate(at(), async (world) => {
      await world.machine("notes", serving());
      const callers = [await world.caller("one"), await world.caller("two")];
      const clients = callers.map((caller) => caller.client(Notes, plain));
      const clocks: unknown[] = [];
      let next = 0;
      const traffic = world.traffic("t", {
        perSecond: 100,
        arrivals: "even",
        ctx: () => callers[next++ % 2]!.ctx,
        call: (ctx, n) => {
          clocks.push(ctx.clock);
          return clients[n % 2]!.one(ctx, { n });
        },
      });
      await world.run(1000);
      assert.ok(traffic.between().ok > 90);
      assert.deepEqual(
        clocks.slice(0, 4).map((clock) => callers.findIndex((caller) => caller.clock === clock)),
        [0, 1, 0, 1],
      );
    });
  });
});

describe("a deadline of 500 ms over four hops to a leaf that takes 2 s", () => {
  const tiers = ["A", "B", "C", "D"].map((name) =>
    contract(`sim.test.${name}`, { go: unary({ input: note, output: note, idempotent: true }) }),
  );

  /** When each hop ended and when the leaf last began something, in milliseconds since the deadline; and how often the leaf was called. */
  async function play(seed: number, network: NetworkOptions, { skewed = false, parted = false }) {
    return simulate({ seed, network }, async (world) => {
      const ends: number[] = [];
      let leafCalls = 0;
      let lastWorkMs = 0;
      let deadlineMs = Infinity;
      for (const [i, tier] of tiers.entries()) {
        const below = tiers[i + 1];
        const clock = skewed ? { offsetMs: (i - 2) * 300_000, drift: (i - 1.5) * 1e-4 } : {};
        await world.machines(
          `tier-${i}`,
          2,
          async (process) => {
            const next = below === undefined ? undefined : process.client(below);
            const leaf = async (ctx: Context): Promise<void> => {
              leafCalls++;
              for (let step = 0; step < 200; step++) {
                lastWorkMs = Math.max(lastWorkMs, world.clock.now());
                await process.compute(2);
                await sleep(ctx, 8);
              }
            };
            const go = async (ctx: Context, request: { n: number }): Promise<{ n: number }> => {
              try {
                if (next !== undefined) return await next.go(ctx, request);
                await leaf(ctx);
                return request;
              } finally {
                ends.push(world.clock.now() - deadlineMs);
              }
            };
            await process.host({ serve: [implement(tier, { go })] });
          },
          { clock },
        );
      }
      const caller = await world.caller("caller");
      const client = caller.client(tiers[0]!);
      await after(world, 3000, client.go(withTimeout(caller.ctx, 100), { n: 0 }));
      ends.length = 0;
      leafCalls = 0;
      deadlineMs = world.clock.now() + 500;
      // Then nobody tells the hops that the caller has gone.
      if (parted) world.at(deadlineMs - 250, () => void world.network.cut(({ name }) => name === "caller"));
      const call = client.go(withTimeout(caller.ctx, 500), { n: 1 });
      call.catch(() => ends.push(world.clock.now() - deadlineMs));
      const outcome = (await after(world, 5000, call)) as ServiceError;
      return { code: outcome.code, ends, leafCalls, lastWorkMs: lastWorkMs - deadlineMs };
    });
  }

  for (const [what, network, more] of [
    ["on a good network", { latency: constant(1) }, {}],
    ["on a poor one", { latency: exponential(3) }, {}],
    ["with clocks minutes apart", { latency: constant(1) }, { skewed: true }],
    ["with the caller cut off", { latency: constant(1) }, { parted: true }],
  ] as const) {
    test(`${what}: no work begins more than 20 ms after it, every hop ends within 30 ms of it`, async () => {
      for (let seed = 1; seed <= 10; seed++) {
        const { code, ends, leafCalls, lastWorkMs } = await play(seed, network, more);
        assert.equal(code, "deadline_exceeded");
        assert.equal(leafCalls, 1);
        assert.equal(ends.length, 5);
        for (const end of ends)
          assert.ok(Math.abs(end) <= 30, `seed ${seed}: a hop ended ${end} ms after the deadline`);
        assert.ok(lastWorkMs > -20 && lastWorkMs <= 20, `seed ${seed}: work began ${lastWorkMs} ms after the deadline`);
      }
    });
  }
});

describe("what goes wrong", () => {
  test("a machine that crashes resets its calls; without a process it refuses; started again it serves", async () => {
    await simulate(at(), async (world) => {
      const machine = await world.machine("notes", serving({ one: (ctx) => sleep(ctx, 1e6).then(() => ({ n: 0 })) }));
      const caller = await world.caller("caller");
      const client = caller.client(Notes, plain);
      const hanging = client.one(caller.ctx, { n: 1 });
      hanging.catch(() => {});
      await world.run(200);
      machine.crash();
      const reset = (await after(world, 6, hanging)) as ServiceError;
      assert.equal(reset.code, "unavailable");
      assert.match(reset.message, /the connection to notes was reset/);
      const refused = (await after(world, 50, client.add(caller.ctx, { n: 1 }))) as ServiceError;
      assert.match(refused.message, /notes refused the connection: nothing runs there/);
      assert.equal(refused.retry?.unprocessed, true);
      await after(world, 100, machine.start());
      assert.deepEqual(await after(world, 10_000, client.add(caller.ctx, { n: 2 })), { n: 2 });
    });
  });

  test("a machine that vanishes answers nothing at all", async () => {
    await simulate(at(), async (world) => {
      const machine = await world.machine("notes", serving());
      const caller = await world.caller("caller");
      const client = caller.client(Notes, plain);
      await after(world, 500, client.add(caller.ctx, { n: 1 }));
      machine.vanish();
      const outcome = await after(world, 3000, client.add(withTimeout(caller.ctx, 1000), { n: 1 }));
      assert.equal((outcome as ServiceError).code, "deadline_exceeded");
    });
  });

  test("what a dead process was doing is never finished", async () => {
    await simulate(at(), async (world) => {
      let finished = false;
      const machine = await world.machine("notes", async (process) => {
        void sleep(process.ctx, 1000).then(() => (finished = true));
      });
      await world.run(500);
      machine.crash();
      await world.run(10_000);
      assert.equal(finished, false);
    });
  });

  test("a partition holds back what is sent until it heals", async () => {
    await simulate(at(), async (world) => {
      await world.machine("notes", serving());
      const caller = await world.caller("caller");
      const client = caller.client(Notes, plain);
      await after(world, 500, client.add(caller.ctx, { n: 1 }));
      const heal = world.network.partition(["caller"], ["notes"]);
      const call = client.add(caller.ctx, { n: 7 });
      assert.equal(await after(world, 2000, call), "pending");
      heal();
      assert.deepEqual(await after(world, 10_000, call), { n: 7 });
    });
  });

  test("a pause of the process makes its timers late", async () => {
    await simulate(at(), async (world) => {
      let rangMs = 0;
      const machine = await world.machine("m", (process) => {
        process.clock.schedule(100, () => (rangMs = world.clock.now()));
      });
      const startedMs = world.clock.now();
      machine.pause(500);
      await world.run(1000);
      assert.ok(rangMs - startedMs >= 490, `it rang after ${rangMs - startedMs} ms`);
    });
  });

  test("clocks may be wrong and go wrong; time that passes is told by them, deadlines are not upset", async () => {
    await simulate(at(), async (world) => {
      await world.machine(
        "notes",
        serving({ one: async (ctx) => ({ n: serverCall(ctx)!.deadline! - ctx.clock.now() }) }),
        {
          clock: { offsetMs: -3_600_000, drift: 0.01 },
        },
      );
      const caller = await world.caller("caller", { clock: { offsetMs: 86_400_000 } });
      assert.equal(caller.clock.epoch() - world.clock.epoch(), 86_400_000);
      caller.clock.jump(-500);
      assert.equal(caller.clock.epoch() - world.clock.epoch(), 86_399_500);
      const outcome = await after(world, 2000, caller.client(Notes).one(withTimeout(caller.ctx, 1000), { n: 1 }));
      const { n } = outcome as { n: number };
      assert.ok(n > 900 && n <= 1000, `${n} ms were left`);
    });
  });
});

describe("the registry", () => {
  test("forgets a machine that crashed when its lease has run out, and one that stops at once", async () => {
    await simulate({ seed: 1, registry: { leaseMs: 3000 } }, async (world) => {
      const machines = await world.machines("notes", 3, serving());
      assert.equal(world.registry.known(Notes.name).length, 3);
      machines[0]!.crash();
      await world.run(1500);
      assert.equal(world.registry.known(Notes.name).length, 3);
      await world.run(2500);
      assert.equal(world.registry.known(Notes.name).length, 2);
      await after(world, 2000, machines[1]!.stop());
      assert.deepEqual(world.registry.known(Notes.name), ["notes-3"]);
    });
  });

  test("that is gone is told to those who watch, and what they knew stays", async () => {
    await simulate({ seed: 1 }, async (world) => {
      await world.machine("notes", serving());
      const caller = await world.caller("caller");
      const told: string[] = [];
      world.registry.from(caller).watch(Notes.name, {
        update: (instances) => void told.push(instances.map(({ id }) => id).join()),
        error: (error) => void told.push(error.message),
      });
      await world.run(1000);
      world.registry.down();
      await world.run(10_000);
      world.registry.up();
      await world.run(10_000);
      assert.deepEqual(told, ["notes", "the registry does not answer", "notes"]);
    });
  });
});

describe("a seed", () => {
  const run = (seed: number): Promise<string> =>
    simulate({ seed, network: { latency: exponential(2), loss: 0.01 } }, async (world) => {
      await world.machines("notes", 3, async (process) => {
        await process.host({ serve: [implement(Notes, notes, { use: [process.work(exponential(5))] })] });
      });
      const caller = await world.caller("caller");
      const client = caller.client(Notes);
      const traffic = world.traffic("t", {
        perSecond: 300,
        ctx: caller.ctx,
        call: (ctx, n) => client.one(ctx, { n }),
        timeoutMs: 200,
      });
      await world.run(5000);
      return JSON.stringify(traffic.intervals);
    });

  test("makes the run, to the byte", async () => {
    const first = await run(5);
    assert.equal(await run(5), first);
    assert.notEqual(await run(6), first);
  });

  test("is named by what fails, with the time", async () => {
    await assert.rejects(
      simulate({ seed: 99 }, async (world) => {
        await world.run(1500);
        throw new Error("it does not hold");
      }),
      /it does not hold\n\(simulation with seed 99, after 1\.500 s of virtual time\)/,
    );
  });

  test("what an act throws ends the run", async () => {
    await assert.rejects(
      simulate({ seed: 1 }, async (world) => {
        world.at(10, async () => {
          throw new Error("from the act");
        });
        await world.run(1000);
      }),
      /from the act/,
    );
  });
});

test("options that are not legal are refused, by name", async () => {
  const none = async (): Promise<void> => {};
  await assert.rejects(simulate({ seed: 1.5 }, none), /simulate: seed/);
  await assert.rejects(simulate({ seed: 1, intervalMs: 0 }, none), /simulate: intervalMs/);
  await assert.rejects(simulate({ seed: 1, network: { loss: 1 } }, none), /network: loss/);
  await assert.rejects(simulate({ seed: 1, registry: { leaseMs: 0 } }, none), /registry: leaseMs/);
  await simulate({ seed: 1 }, async (world) => {
    await assert.rejects(
      world.machine("m", () => {}, { cores: 0 }),
      /machine: cores/,
    );
    await world.machine("n", () => {});
    await assert.rejects(
      world.machine("n", () => {}),
      /there is a machine "n" already/,
    );
  });
});

describe("what goes wrong in a simulation", () => {
  const message = /12 of 100 failed\n\(simulation with seed 7, after 3\.000 s of virtual time\)/;
  const failing = (error: unknown) =>
    simulate({ seed: 7 }, async (world) => {
      world.at(3000, () => {
        throw error;
      });
      await world.run(60_000);
    });

  test("tells its seed and when it was, in what is printed of it too, and ends the run", async () => {
    for (const error of [new Error("12 of 100 failed"), new assert.AssertionError({ message: "12 of 100 failed" })]) {
      const thrown = await failing(error).catch((reason: unknown) => reason as Error);
      assert.equal(thrown, error);
      assert.match(error.message, message);
      assert.match(inspect(error), message);
    }
  });

  test("does so when it is no error, or one that cannot be changed", async () => {
    for (const error of ["12 of 100 failed", Object.freeze(new Error("12 of 100 failed"))]) {
      await assert.rejects(failing(error), (thrown: Error) => message.test(inspect(thrown)) && thrown.cause === error);
    }
  });

  test("a partition of machines that are none is told at once", async () => {
    await simulate({ seed: 1 }, async (world) => {
      await world.machine("shop", () => {});
      assert.throws(() => world.network.partition(["shap"], ["registry"]), /"shap" is none of shop, registry/);
      assert.throws(() => world.network.partition(["shop"], "shop" as never), /two arrays of names/);
      world.network.partition(["shop"], ["registry"])();
    });
  });
});
