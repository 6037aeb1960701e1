import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { Cpu } from "./cpu.ts";

function bed(cores: number) {
  const clock = new VirtualClock();
  const cpu = new Cpu(clock, cores);
  const done: string[] = [];
  const run = (name: string, ms: number): void => cpu.run(ms, () => void done.push(`${name}@${clock.now()}`));
  return { clock, cpu, run, done };
}

describe("a processor", () => {
  test("does one task after the other on one core, several on several", async () => {
    for (const [cores, expected] of [
      [1, ["a@10", "b@15", "c@16"]],
      [2, ["b@5", "c@6", "a@10"]],
    ] as const) {
      const { clock, run, done, cpu } = bed(cores);
      run("a", 10);
      run("b", 5);
      run("c", 1);
      await clock.advance(100);
      assert.deepEqual(done, expected);
      assert.equal(cpu.workedMs, 16);
      assert.equal(cpu.busy + cpu.queued, 0);
    }
  });

  test("what costs nothing is done at once when a core is free, else in its turn", async () => {
    const { clock, run, done } = bed(1);
    run("now", 0);
    assert.deepEqual(done, ["now@0"]);
    run("a", 10);
    run("later", 0);
    await clock.advance(100);
    assert.deepEqual(done, ["now@0", "a@10", "later@10"]);
  });

  test("a change of speed counts for what is running, too", async () => {
    const { clock, cpu, run, done } = bed(1);
    run("a", 10);
    await clock.advance(4);
    cpu.setSpeed(0.5);
    await clock.advance(4);
    cpu.setSpeed(0);
    await clock.advance(50);
    assert.equal(cpu.workedMs, 6);
    cpu.setSpeed(2);
    await clock.advance(50);
    assert.deepEqual(done, ["a@60"]);
  });

  test("a pause stops everything, pauses within a pause end with the last", async () => {
    const { clock, cpu, run, done } = bed(1);
    run("a", 10);
    await clock.advance(5);
    cpu.pause(20);
    await clock.advance(10);
    cpu.pause(20);
    run("b", 0);
    await clock.advance(100);
    assert.deepEqual(done, ["a@40", "b@40"]);
  });

  test("once halted it does nothing any more, and nothing waits", async () => {
    const { clock, cpu, run, done } = bed(1);
    run("a", 10);
    run("b", 10);
    cpu.halt();
    run("c", 0);
    assert.equal(clock.pending, 0);
    await clock.advance(100);
    assert.deepEqual(done, []);
  });

  test("thousands of tasks in line come out in order", async () => {
    const { clock, cpu } = bed(1);
    const order: number[] = [];
    for (let i = 0; i < 5000; i++) cpu.run(i % 3, () => void order.push(i));
    await clock.run(1e6);
    assert.deepEqual(
      order,
      Array.from({ length: 5000 }, (_, i) => i),
    );
  });
});
