import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Policy, PolicyMetric } from "../../endpoint/policy.ts";
import type { StateReport } from "../../endpoint/state-report.ts";
import { createMeterProvider } from "./provider.ts";
import { StateMetrics } from "./state-metrics.ts";

const metric = (name: string, kind: PolicyMetric["kind"]): PolicyMetric => ({ name, kind, unit: "1", description: "" });
const COUNT = metric("count", "counter");
const SUM = metric("sum", "sum");
const LEAST = metric("least", "least");
const GREATEST = metric("greatest", "greatest");

/** A policy that tells one number as everything. */
class Number1 implements Policy {
  readonly name = "number";
  readonly metrics = [COUNT, SUM, LEAST, GREATEST];
  value: number;

  constructor(value: number) {
    this.value = value;
  }

  measure(to: Parameters<Policy["measure"]>[0]): void {
    for (const each of this.metrics) to(each, this.value, { of: "all" });
  }

  describe(): [] {
    return [];
  }
}

function bed() {
  const provider = createMeterProvider({ clock: new VirtualClock() });
  const reports = new Set<(to: StateReport) => void>();
  const metrics = new StateMetrics(provider.getMeter("test"), reports);
  return {
    /** @returns what ends it. */
    watch(...policies: Policy[]): () => void {
      const report = (to: StateReport): void => {
        for (const policy of policies) to.policy(policy);
      };
      metrics.begin(report);
      reports.add(report);
      return () => {
        reports.delete(report);
        metrics.end(report);
      };
    },
    async values(): Promise<Record<string, number>> {
      const values: Record<string, number> = {};
      for (const data of await provider.collect()) {
        assert.ok(data.type === "sum" || data.type === "gauge");
        assert.equal(data.type === "sum" && data.monotonic, data.name === "count");
        for (const { value } of data.points) values[data.name] = value;
      }
      return values;
    },
  };
}

describe("of several policies that tell of the same", () => {
  test("counters and sums are added up, of gauges the least or greatest counts", async () => {
    const { watch, values } = bed();
    watch(new Number1(3), new Number1(5));
    watch(new Number1(4));
    assert.deepEqual(await values(), { count: 12, sum: 12, least: 3, greatest: 5 });
  });

  test("one that stands in several places is asked once", async () => {
    const { watch, values } = bed();
    const one = new Number1(3);
    watch(one, one);
    watch(one);
    assert.deepEqual(await values(), { count: 3, sum: 3, least: 3, greatest: 3 });
  });

  test("those that go take their state with them, and leave what they have counted, the last of it too", async () => {
    const { watch, values } = bed();
    const [one, two] = [new Number1(3), new Number1(5)];
    const end = watch(one);
    watch(two);
    await values();
    one.value = 7;
    end();
    assert.deepEqual(await values(), { count: 12, sum: 5, least: 5, greatest: 5 });
    two.value = 6;
    assert.equal((await values())["count"], 13);
  });

  test("a counter never falls, whatever its policy says", async () => {
    const { watch, values } = bed();
    const one = new Number1(9);
    watch(one);
    await values();
    one.value = 2;
    assert.equal((await values())["count"], 9);
    one.value = 10;
    assert.equal((await values())["count"], 10);
  });
});
