import assert from "node:assert/strict";
import { test } from "node:test";
import { leastRequest } from "../balance/least-request.ts";
import { peakEwma } from "../balance/peak-ewma.ts";
import { prequal } from "../balance/prequal.ts";
import { roundRobin } from "../balance/round-robin.ts";
import { seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { memory } from "../transport/memory/memory.ts";
import { MixedCalls } from "./test-fixtures/mixed-calls.ts";

const balancers = { leastRequest, peakEwma, prequal, roundRobin };

for (const [seed, [name, balance]] of Object.entries(balancers).entries()) {
  test(`nothing is held after calls and streams of every fate (${name}, seed ${seed})`, async (t) => {
    const clock = new VirtualClock();
    const net = memory();
    const mixed = await MixedCalls.start({
      clock,
      random: seededRandom(seed),
      balance: balance(),
      transport: net,
      perTryTimeoutMs: 60,
      listener: (i) => net.listener(`mixed-${i}`),
    });
    const passing = async (work: Promise<void>): Promise<void> => {
      let over = false;
      const end = (): void => void (over = true);
      work.then(end, end);
      for (let i = 0; !over; i++) {
        assert.ok(i < 100_000, "it hangs");
        await clock.run(1);
      }
      await work;
    };
    await passing(mixed.make(1200, 60));
    t.diagnostic(JSON.stringify(mixed.outcomes));
    await clock.run(10_000);
    await passing(mixed.check(name !== "peakEwma"));
    await clock.run(60_000);
    assert.equal(clock.pending, 0, "timers are left");
    await passing(mixed.close());
    for (const code of ["ok", "unavailable", "internal", "canceled", "deadline_exceeded"]) {
      assert.ok((mixed.outcomes[code] ?? 0) > 20, `${code}: ${mixed.outcomes[code]}`);
    }
  });
}
