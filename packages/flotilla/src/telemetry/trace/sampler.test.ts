import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { SamplingDecision, TraceIdRatioBasedSampler } from "@opentelemetry/sdk-trace";
import fc from "fast-check";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { always, never, parentBased, rateLimited, ratio, type Sampler } from "./sampler.ts";

const hex = fc.stringMatching(/^[0-9a-f]{32}$/).filter((id) => !/^0+$/.test(id));
const decide = (sampler: Sampler, traceId: string): boolean => sampler.sample(traceId, -1, false, "a", 0);

describe("ratio", () => {
  test("decides as the official SDK does (property)", () => {
    fc.assert(
      fc.property(
        hex,
        fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1, 0.5, 0.1)),
        (traceId, share) => {
          const official =
            new TraceIdRatioBasedSampler(share).shouldSample(ROOT_CONTEXT, traceId).decision ===
            SamplingDecision.RECORD_AND_SAMPLED;
          assert.equal(decide(ratio(share), traceId), official);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("what is in a share is in every larger one (property)", () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(hex, share, share, (traceId, a, b) => {
        if (decide(ratio(Math.min(a, b)), traceId)) assert.equal(decide(ratio(Math.max(a, b)), traceId), true);
      }),
    );
  });

  test("depends on the last seven bytes evenly, which is what the random flag promises", () => {
    let sampled = 0;
    for (let i = 0; i < 4_096; i++) {
      if (decide(ratio(0.25), `${"a".repeat(18)}${"0".repeat(6)}${((i << 20) >>> 0).toString(16).padStart(8, "0")}`))
        sampled++;
    }
    assert.ok(Math.abs(sampled - 1_024) <= 1, `${sampled}`);
  });

  test("refuses what is no share", () => {
    for (const share of [-0.1, 1.1, Number.NaN])
      assert.throws(() => ratio(share), { name: "RangeError", message: /from 0 to 1/ });
  });
});

describe("parentBased", () => {
  test("has a slot for each kind of parent", () => {
    const seen: string[] = [];
    const slot = (description: string): Sampler => ({
      description,
      sample: () => {
        seen.push(description);
        return true;
      },
    });
    const sampler = parentBased({
      root: slot("root"),
      remoteSampled: slot("rs"),
      remoteNotSampled: slot("rn"),
      localSampled: slot("ls"),
      localNotSampled: slot("ln"),
    });
    for (const [flags, remote] of [
      [-1, false],
      [3, true],
      [2, true],
      [1, false],
      [0, false],
    ] as const) {
      sampler.sample("", flags, remote, "a", 0);
    }
    assert.deepEqual(seen, ["root", "rs", "rn", "ls", "ln"]);
    assert.equal(
      sampler.description,
      "ParentBased{root=root, remoteParentSampled=rs, remoteParentNotSampled=rn, localParentSampled=ls, localParentNotSampled=ln}",
    );
  });

  test("does as the parent does by default, and samples roots", () => {
    const sampler = parentBased();
    const on = (flags: number, remote: boolean): boolean => sampler.sample("", flags, remote, "a", 0);
    assert.deepEqual(
      [on(-1, false), on(1, true), on(0, true), on(3, false), on(2, false)],
      [true, true, false, true, false],
    );
    assert.equal(decide(always, "") && !decide(never, ""), true);
  });
});

describe("rateLimited", () => {
  test("lets through no more than burst + rate x time, and nearly that under load (property)", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.tuple(fc.nat({ max: 2_000 }), fc.nat({ max: 80 })), { maxLength: 20 }),
        async (rate, burst, steps) => {
          const clock = new VirtualClock();
          const sampler = rateLimited(rate, { burst, clock });
          const taken: { at: number; count: number }[] = [];
          for (const [pause, tries] of steps) {
            await clock.advance(pause);
            let count = 0;
            for (let i = 0; i < tries; i++) if (decide(sampler, "")) count++;
            taken.push({ at: clock.now(), count });
          }
          for (let i = 0; i < taken.length; i++) {
            let sum = 0;
            for (let j = i; j < taken.length; j++) {
              sum += taken[j]!.count;
              assert.ok(sum <= burst + ((taken[j]!.at - taken[i]!.at) * rate) / 1_000 + 1e-6);
            }
          }
        },
      ),
      { numRuns: 60 },
    );
    const clock = new VirtualClock();
    const sampler = rateLimited(10, { clock });
    let sampled = 0;
    for (let i = 0; i < 1_000; i++) {
      await clock.advance(10);
      if (decide(sampler, "")) sampled++;
    }
    assert.ok(sampled >= 100 && sampled <= 110, `${sampled}`);
  });

  test("0 samples nothing; bad options are refused", () => {
    const sampler = rateLimited(0, { clock: new VirtualClock() });
    assert.equal(decide(sampler, ""), false);
    for (const perSecond of [-1, Number.NaN, Infinity])
      assert.throws(() => rateLimited(perSecond), /perSecond must be/);
    assert.throws(() => rateLimited(1, { burst: 0.5 }), /burst must be/);
  });
});
