import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Middleware } from "./endpoint.ts";
import { chain, policiesOf, withPolicies } from "./endpoint.ts";
import type { Policy } from "./policy.ts";
import { statePage } from "./state-page.ts";
import type { AdminRequest, AdminResponse } from "./telemetry-port.ts";

const policy = (name: string, records: readonly Record<string, unknown>[] = [{}]): Policy => ({
  name,
  metrics: [],
  measure() {},
  describe: () => records,
});
const carrying = (...policies: Policy[]): Middleware => withPolicies((next) => next, policies);

describe("a chain", () => {
  test("tells of itself what all its middlewares do, chains in it included", () => {
    const [a, b, c] = [policy("a"), policy("b"), policy("c")];
    const plain: Middleware = (next) => next;
    assert.deepEqual(chain(carrying(a), plain, chain(carrying(b), carrying(c))).policies, [a, b, c]);
    assert.deepEqual(policiesOf([plain]), []);
  });
});

describe("the page", () => {
  const get: AdminRequest = { method: "GET", query: new URLSearchParams(), headers: {}, body: "" };
  const read = (response: AdminResponse | Promise<AdminResponse>): Record<string, unknown> => {
    assert.ok(!(response instanceof Promise));
    assert.equal(response.status, 200);
    return JSON.parse(response.body) as Record<string, unknown>;
  };

  test("has what was reported, and each policy once", () => {
    const one = policy("one", [{ state: "open" }, { state: "closed" }]);
    const page = statePage((to) => {
      to.listener("http://127.0.0.1:1", 2);
      to.pool("http://127.0.0.1:2", { open: 3, idle: 1, waiting: 0 });
      to.instances("a.B", 4, 1);
      to.policy(one, { id: "x", address: "http://127.0.0.1:3" });
      to.policy(one);
    });
    assert.deepEqual(read(page(get)), {
      listeners: [{ address: "http://127.0.0.1:1", connections: 2 }],
      connections: [{ address: "http://127.0.0.1:2", open: 3, idle: 1, waiting: 0 }],
      instances: [{ service: "a.B", up: 4, down: 1 }],
      policies: [
        { policy: "one", instance: "http://127.0.0.1:3", state: "open" },
        { policy: "one", instance: "http://127.0.0.1:3", state: "closed" },
      ],
    });
  });

  test("has a thousand records of policies, and the number of those left out", () => {
    const page = statePage((to) => {
      for (let i = 0; i < 600; i++) to.policy(policy(`p${i}`, [{ n: 1 }, { n: 2 }]));
    });
    const { policies, policiesLeftOut } = read(page(get));
    assert.deepEqual([(policies as unknown[]).length, policiesLeftOut], [1000, 200]);
  });

  test("is only looked at", async () => {
    const { status } = await statePage(() => {})({ ...get, method: "POST" });
    assert.equal(status, 405);
  });
});
