import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { PolicyChange } from "../endpoint/policy.ts";
import { EjectionPolicy } from "./ejection-policy.ts";

const a = { id: "a", address: "http://a" };
const b = { id: "b", address: "http://b" };

test("ejections are counted by rule, those that are out are told of, changes go to the log and to who asked for them", async () => {
  const clock = new VirtualClock();
  const policy = new EjectionPolicy(clock);
  const told: unknown[] = [];
  const changes: PolicyChange[] = [];
  policy.listen((change) => changes.push(change));
  const { onEject, onReturn } = policy.optionsOf("x.Y", {
    onEject: ({ rule }) => told.push(rule),
    onReturn: ({ id }) => told.push(id),
  });
  let out = [a];
  policy.ask("x.Y", () => out);
  onEject!({ instance: a, rule: "consecutive", reason: "5 calls in a row failed", forMs: 30_000 });
  out = [a, b];
  onEject!({ instance: b, rule: "deviation", reason: "it differs", forMs: 60_000 });
  await clock.run(10_000);
  assert.deepEqual(policy.describe(), [
    {
      service: "x.Y",
      ejections: { consecutive: 1, deviation: 1, failure_rate: 0 },
      out: [
        { instance: "http://a", rule: "consecutive", reason: "5 calls in a row failed", returnsInMs: 20_000 },
        { instance: "http://b", rule: "deviation", reason: "it differs", returnsInMs: 50_000 },
      ],
    },
  ]);
  out = [b];
  onReturn!(a);
  assert.deepEqual(changes, [
    { level: "warning", message: "http://a of x.Y is out of the balance for 30.0 s: 5 calls in a row failed" },
    { level: "warning", message: "http://b of x.Y is out of the balance for 60.0 s: it differs" },
    { level: "notice", message: "http://a of x.Y is back in the balance" },
  ]);
  assert.deepEqual(told, ["consecutive", "deviation", "a"]);
  const values: Record<string, number> = {};
  policy.measure(({ name }, value, attributes) => {
    values[`${name} ${attributes!["flotilla.ejection.rule"] ?? ""}`] = value;
  });
  assert.deepEqual(values, {
    "flotilla.ejection.instances ": 1,
    "flotilla.ejection.ejections consecutive": 1,
    "flotilla.ejection.ejections deviation": 1,
    "flotilla.ejection.ejections failure_rate": 0,
  });
});
