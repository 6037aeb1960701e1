import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, mock, test } from "node:test";
import { systemClock } from "./system-clock.ts";

describe("systemClock", () => {
  test("now is monotonic, epoch is the wall clock", () => {
    let last = systemClock.now();
    for (let i = 0; i < 10_000; i++) {
      const now = systemClock.now();
      assert.ok(now >= last);
      last = now;
    }
    assert.ok(Math.abs(systemClock.epoch() - Date.now()) < 1_000);
  });

  test("never calls early, fractions of a millisecond included", async () => {
    const delays = Array.from({ length: 200 }, (_, i) => (i * 37) / 300);
    await Promise.all(
      delays.map(
        (delay) =>
          new Promise<void>((resolve, reject) => {
            const due = systemClock.now() + delay;
            systemClock.schedule(delay, () => {
              const early = due - systemClock.now();
              // Between reading the clock here and inside schedule nothing is lost: due is the earlier of the two.
              if (early > 0) reject(new Error(`a timer of ${delay} ms ran ${early} ms early`));
              else resolve();
            });
          }),
      ),
    );
  });

  test("cancel forgets the callback; twice and after the run is safe", async () => {
    const cancelled = systemClock.schedule(1, () => assert.fail("cancelled, yet run"));
    cancelled.cancel();
    cancelled.cancel();
    await new Promise<void>((resolve) => {
      const timer = systemClock.schedule(5, () => {
        timer.cancel();
        resolve();
      });
    });
  });

  test("negative and meaningless delays count as 0", async () => {
    for (const delay of [-5, NaN, 0]) await new Promise<void>((resolve) => systemClock.schedule(delay, resolve));
  });

  for (const { delay, title } of [
    { delay: 2 ** 31, title: "just above 2^31 - 1 ms" },
    { delay: 3 * (2 ** 31 - 1) + 5, title: "of three steps and a bit" },
  ]) {
    test(`waits a delay ${title} in steps, not at once`, () => {
      let ran = false;
      withFakeTime((tick, scheduled) => {
        systemClock.schedule(delay, () => {
          ran = true;
        });
        for (let passed = 0; passed < delay - 1; ) {
          const step = Math.min(2 ** 31 - 1, delay - 1 - passed);
          tick(step);
          passed += step;
          assert.equal(ran, false);
        }
        tick(2);
        assert.equal(ran, true);
        assert.ok(scheduled.every((ms) => ms <= 2 ** 31 - 1));
      });
    });
  }

  test("Infinity never comes, and can be cancelled", () => {
    withFakeTime((tick) => {
      const timer = systemClock.schedule(Infinity, () => assert.fail("run"));
      for (let i = 0; i < 5; i++) tick(2 ** 31 - 1);
      timer.cancel();
    });
  });

  test("cancel between two steps holds", () => {
    withFakeTime((tick) => {
      const timer = systemClock.schedule(2 ** 31 + 10, () => assert.fail("cancelled, yet run"));
      tick(2 ** 31 - 1);
      timer.cancel();
      tick(100);
    });
  });
});

test("a loop that has nothing else to do comes round all the same", async () => {
  const round = new Promise<void>((resolve) => systemClock.loop!.whenRound(resolve));
  // One without reference does not wake a loop that sleeps.
  assert.ok(process.getActiveResourcesInfo().includes("Immediate"));
  await round;
});

test("what has arrived while the loop was held up is read before it is said to have come round: every connection", async () => {
  const connections = 40;
  let read = 0;
  const server = createServer((socket) => {
    socket.on("data", () => read++);
    socket.on("error", () => {});
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    const { port } = server.address() as AddressInfo;
    const caller = `let sent = 0;
      for (let i = 0; i < ${connections}; i++) {
        const socket = require("node:net").connect(${port}, "127.0.0.1", () => {
          socket.write("x", () => ++sent === ${connections} && process.exit());
        });
      }`;
    assert.equal(spawnSync(process.execPath, ["-e", caller]).status, 0);
    assert.equal(read, 0);
    await new Promise<void>((resolve) => systemClock.loop!.whenRound(resolve));
    assert.equal(read, connections);
  } finally {
    server.close();
  }
});

/** setTimeout and performance.now go together, by hand: Node's own mock timers leave performance.now alone. */
function withFakeTime(run: (tick: (ms: number) => void, scheduled: number[]) => void): void {
  let now = 0;
  const scheduled: number[] = [];
  mock.timers.enable({ apis: ["setTimeout"] });
  const fakeSetTimeout = globalThis.setTimeout;
  const clock = mock.method(performance, "now", () => now);
  const timeout = mock.method(globalThis, "setTimeout", ((callback: () => void, ms: number) => {
    scheduled.push(ms);
    return fakeSetTimeout(callback, ms);
  }) as typeof setTimeout);
  try {
    run((ms) => {
      now += ms;
      mock.timers.tick(ms);
    }, scheduled);
  } finally {
    timeout.mock.restore();
    clock.mock.restore();
    mock.timers.reset();
  }
}
