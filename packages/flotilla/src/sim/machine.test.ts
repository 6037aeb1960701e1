import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { constant } from "../clock/distribution.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import { implement } from "../service/implement.ts";
import type { Machine, MachineOptions } from "./machine.ts";
import { simulate, type World } from "./world.ts";

const note = z.object({ n: z.number() });
const Notes = contract("sim.test.Notes", { one: unary({ input: note, output: note, idempotent: true }) });

/** A machine whose calls cost 20 ms of a core, 1 ms away from its caller. */
async function serving(
  options: MachineOptions,
  run: (bed: {
    world: World;
    machine: Machine;
    took: (together?: number) => Promise<number>;
    add: () => Promise<Machine>;
    served: string[];
  }) => Promise<void>,
): Promise<void> {
  await simulate({ seed: 1, network: { latency: constant(1) } }, async (world) => {
    const served: string[] = [];
    const add = (name: string): Promise<Machine> =>
      world.machine(
        name,
        async (process) => {
          const one = async (_ctx: unknown, request: { n: number }): Promise<{ n: number }> => {
            served.push(name);
            return request;
          };
          await process.host({ serve: [implement(Notes, { one }, { use: [process.work(20)] })], use: [] });
        },
        options,
      );
    const machine = await add("notes-1");
    const caller = await world.caller("caller");
    const client = caller.client(Notes, { retry: false, throttle: false, ejection: false, slowStart: false });
    await world.run(1000);
    /** How long the last of so many calls at a time takes. */
    const took = async (together = 1): Promise<number> => {
      const startedMs = world.clock.now();
      let endedMs = startedMs;
      for (let n = 0; n < together; n++) {
        client.one(caller.ctx, { n }).then(
          () => (endedMs = world.clock.now()),
          () => {},
        );
      }
      await world.run(2000);
      return Math.round(endedMs - startedMs);
    };
    await took();
    served.length = 0;
    let names = 1;
    await run({ world, machine, took, served, add: () => add(`notes-${++names}`) });
  });
}

describe("a machine", () => {
  test("does as many tasks at once as it has cores, what comes on top waits in line", async () => {
    await serving({}, async ({ took }) => assert.equal(await took(4), 82));
    await serving({ cores: 4 }, async ({ took }) => assert.equal(await took(4), 22));
    await serving({ cores: 4 }, async ({ took }) => assert.equal(await took(5), 42));
  });

  test("may be slower than told, and become so: a neighbour that takes its share", async () => {
    await serving({ speed: 0.5 }, async ({ took }) => assert.equal(await took(), 42));
    await serving({}, async ({ machine, took }) => {
      machine.setSpeed(0.25);
      assert.equal(await took(), 82);
      machine.setSpeed(1);
      assert.equal(await took(), 22);
    });
  });

  test("takes time to take in what arrives", async () => {
    await serving({ receiveMs: 5 }, async ({ took }) => assert.equal(await took(), 27));
  });

  test("stands still in a pause, what it computes, too", async () => {
    await serving({}, async ({ machine, took }) => {
      machine.pause(500);
      assert.equal(await took(), 521);
    });
  });

  test("has timers that go by its own clock", async () => {
    await serving({ clock: { drift: 0.25 } }, async ({ world, machine }) => {
      const startedMs = world.clock.now();
      let rangMs = 0;
      machine.process!.clock.schedule(100, () => (rangMs = world.clock.now()));
      await world.run(1000);
      assert.equal(Math.round(rangMs - startedMs), 80);
    });
  });
});

test("machines come and go while calls are made, and are found", async () => {
  await serving({}, async ({ world, machine, took, served, add }) => {
    await add();
    await world.run(5000);
    await took(20);
    assert.equal(new Set(served).size, 2);
    world.at(world.clock.now(), () => machine.stop());
    await world.run(5000);
    served.length = 0;
    await took(10);
    assert.deepEqual(served, Array(10).fill("notes-2"));
  });
});
