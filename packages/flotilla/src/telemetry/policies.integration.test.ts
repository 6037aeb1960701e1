import assert from "node:assert/strict";
import { after, test } from "node:test";
import { z } from "zod";
import { background } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import { ServiceError } from "../errors/service-error.ts";
import { withHeaders } from "../metadata/call.ts";
import { withPriority } from "../metadata/priority.ts";
import { circuitBreaker } from "../resilience/breaker/circuit-breaker.ts";
import { consecutive } from "../resilience/breaker/trip.ts";
import { fallback } from "../resilience/fallback.ts";
import { egressLimit } from "../resilience/rate-limit/egress-limit.ts";
import { byHeader } from "../resilience/rate-limit/keys.ts";
import { rateLimit } from "../resilience/rate-limit/rate-limit.ts";
import { responseCache } from "../resilience/reuse/response-cache.ts";
import { singleFlight } from "../resilience/reuse/single-flight.ts";
import { channel, client } from "../service/channel.ts";
import { serverDefaults } from "../service/defaults.ts";
import { host } from "../service/host.ts";
import { implement } from "../service/implement.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { failureOf } from "../testing/transport-bed.ts";
import { http } from "../transport/http/server.ts";
import { logFile } from "./log/test-fixtures/log-bed.ts";
import { telemetry } from "./telemetry.ts";

const message = z.object({ n: z.number() });
const Shop = contract("shop.v1.Shop", {
  look: unary({ input: message, output: message, safe: true }),
  order: unary({ input: message, output: message }),
  fail: unary({ input: message, output: message, idempotent: true, safe: false }),
  hold: unary({ input: message, output: message, idempotent: true }),
});
const SHOP = `rpc_service="shop.v1.Shop"`;

const file = logFile();
const observed = telemetry({
  service: "shop",
  env: {},
  traces: false,
  metrics: { process: false },
  logs: { fd: file.fd, format: "json", calls: false },
});
let release: (() => void) | undefined;
const holding = new Promise<void>((resolve) => {
  release = resolve;
});
const running = await host({
  name: "shop",
  serve: [
    implement(
      Shop,
      {
        look: (_ctx, request) => request,
        order: (_ctx, request) => request,
        fail: () => {
          throw new ServiceError("unavailable", "broken");
        },
        hold: async (_ctx, request) => {
          await holding;
          return request;
        },
      },
      { use: [rateLimit({ limit: 3, windowMs: 3_600_000, key: byHeader("x-tenant"), policy: "tenant", maxKeys: 2 })] },
    ),
  ],
  listen: [http()],
  use: serverDefaults({ limit: { limit: 2, maxQueued: 1 } }),
  telemetry: observed,
}).start();
after(() => file.remove());

/** What `/metrics` says: values by name and labels. */
async function scrape(): Promise<Record<string, number>> {
  const text = await (await fetch(`${running.adminAddress}/metrics`, { headers: { connection: "close" } })).text();
  const values: Record<string, number> = {};
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const end = line.lastIndexOf(" ");
    values[line.slice(0, end)] = Number(line.slice(end + 1));
  }
  return values;
}

interface Page {
  readonly policies: readonly Readonly<Record<string, unknown>>[];
}

async function page(): Promise<Page> {
  const response = await fetch(`${running.adminAddress}/state`, { headers: { connection: "close" } });
  assert.equal(response.headers.get("content-type"), "application/json");
  return (await response.json()) as Page;
}

const messages = (): string[] => file.lines().map((line) => String(line["msg"]));

test("what every policy around calls has done stands in /metrics and /state, and its changes in the log", async (t) => {
  const discover = new TestRegistry();
  const [address] = running.addresses as [string];
  discover.set(Shop.name, [address]);
  const plain = { discover, telemetry: observed, throttle: false, ejection: false } as const;
  const over = channel({
    ...plain,
    retry: { baseMs: 0 },
    use: [
      fallback(Shop, { fail: () => ({ n: -1 }) }, { when: () => true }),
      responseCache({ ttlMs: 60_000, maxEntries: 1 }),
      singleFlight(),
      egressLimit({ limit: 100, windowMs: 3_600_000, policy: "quota" }),
    ],
    perInstance: () => [circuitBreaker({ trip: consecutive(3), openMs: 60_000 })],
  });
  const shop = client(Shop, over);
  const busy = channel({ ...plain, retry: false });
  const calls = client(Shop, busy);
  t.after(async () => {
    release!();
    await over.close();
    await busy.close();
    await running.stop();
  });
  const as = (tenant: string) => withHeaders(background(), { "x-tenant": tenant });

  // Two misses, one hit, one answer driven out.
  await shop.look(as("a"), { n: 1 });
  await shop.look(as("a"), { n: 1 });
  await shop.look(as("a"), { n: 2 });
  // The third unit of the tenant, and one too many; then two more tenants than are remembered.
  await shop.order(as("a"), { n: 1 });
  assert.equal((await failureOf(shop.order(as("a"), { n: 1 }))).code, "resource_exhausted");
  await shop.order(as("b"), { n: 1 });
  await shop.order(as("c"), { n: 1 });
  // Three attempts open the circuit of the instance; the fallback answers, also when it is open.
  assert.deepEqual(await shop.fail(as("d"), { n: 1 }), { n: -1 });
  assert.deepEqual(await shop.fail(as("d"), { n: 1 }), { n: -1 });

  // Two are held, one waits, and of two that come on top one takes the place of who matters less.
  const held = [1, 2].map((n) => calls.hold(as("e"), { n }));
  const inFlight = `flotilla_concurrency_limit_in_flight{flotilla_side="server"}`;
  const queued = `flotilla_concurrency_limit_queued{flotilla_side="server"}`;
  for (let i = 0; i < 500 && (await scrape())[inFlight] !== 2; i++);
  const sheddable = failureOf(calls.hold(withPriority(as("f"), "sheddable"), { n: 3 }));
  for (let i = 0; i < 500 && (await scrape())[queued] !== 1; i++);
  const critical = calls.hold(withPriority(as("f"), "critical"), { n: 4 });
  assert.equal((await sheddable).code, "unavailable");

  const full = await scrape();
  assert.equal(full[inFlight], 2);
  assert.equal(full[queued], 1);
  assert.equal(full[`flotilla_concurrency_limit_limit{flotilla_side="server"}`], 2);
  const refused = (priority: string): string =>
    `flotilla_concurrency_limit_refused_total{flotilla_priority="${priority}",flotilla_side="server"}`;
  assert.deepEqual(
    ["critical", "default", "sheddable"].map((priority) => full[refused(priority)]),
    [0, 0, 1],
  );
  release!();
  await Promise.all([...held, critical]);

  const values = await scrape();
  const told = (prefix: string): Record<string, number> =>
    Object.fromEntries(
      Object.entries(values)
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, value]) => [name.slice(prefix.length), value]),
    );
  assert.deepEqual(told("flotilla_cache_"), {
    'calls_total{outcome="hit"}': 1,
    'calls_total{outcome="stale"}': 0,
    'calls_total{outcome="miss"}': 2,
    entries: 1,
    size_bytes: values["flotilla_cache_size_bytes"],
    evicted_total: 1,
    failed_refreshes_total: 0,
  });
  assert.ok(values["flotilla_cache_size_bytes"]! > 0);
  assert.deepEqual(told("flotilla_single_flight_"), {
    'calls_total{outcome="made"}': 4,
    'calls_total{outcome="joined"}': 0,
  });
  assert.deepEqual(told("flotilla_rate_limit_calls"), {
    '_total{flotilla_rate_limit_policy="tenant",outcome="admitted"}': 11,
    '_total{flotilla_rate_limit_policy="tenant",outcome="refused"}': 1,
  });
  assert.equal(values["flotilla_rate_limit_keys"], 3, "two tenants, and one key of the egress limit");
  assert.ok(values["flotilla_rate_limit_forgotten_total"]! >= 1);
  assert.deepEqual(told("flotilla_egress_limit_"), {
    'waiting{flotilla_rate_limit_policy="quota"}': 0,
    'refused_total{flotilla_rate_limit_policy="quota"}': 0,
  });
  assert.deepEqual(told("flotilla_fallback_"), { [`used_total{${SHOP}}`]: 2 });
  const breaker = `rpc_method="shop.v1.Shop/fail"`;
  assert.deepEqual(
    Object.fromEntries(Object.entries(told("flotilla_circuit_breaker_")).filter(([name]) => name.includes(breaker))),
    {
      [`breakers{flotilla_circuit_breaker_state="closed",${breaker}}`]: 0,
      [`breakers{flotilla_circuit_breaker_state="open",${breaker}}`]: 1,
      [`breakers{flotilla_circuit_breaker_state="half_open",${breaker}}`]: 0,
      [`openings_total{${breaker}}`]: 1,
      [`refused_total{${breaker}}`]: values[`flotilla_circuit_breaker_refused_total{${breaker}}`],
    },
  );
  assert.ok(values[`flotilla_circuit_breaker_refused_total{${breaker}}`]! >= 1);
  assert.ok(values[`flotilla_retry_attempts_total{${SHOP}}`]! >= 2);
  assert.ok(values[`flotilla_retry_given_up_total{reason="attempts",${SHOP}}`]! >= 1);
  assert.ok(values[`flotilla_retry_budget{${SHOP}}`]! < 10);

  const { policies } = await page();
  const open = policies.find(({ policy, name }) => policy === "circuit_breaker" && name === "shop.v1.Shop/fail")!;
  assert.equal(open["instance"], address);
  assert.equal(open["state"], "open");
  assert.equal(open["reason"], "3 calls in a row failed");
  assert.ok((open["nextProbeMs"] as number) > 0);
  const limit = policies.find(({ policy }) => policy === "concurrency_limit")!;
  assert.deepEqual(
    { ...limit },
    {
      policy: "concurrency_limit",
      side: "server",
      overloaded: true,
      limit: 2,
      inFlight: 0,
      queued: 0,
      refused: { critical: 0, default: 0, sheddable: 1 },
    },
  );
  const posted = await fetch(`${running.adminAddress}/state`, { method: "POST", headers: { connection: "close" } });
  assert.equal(posted.status, 405);

  // An instance that goes takes its breakers with it, but not what they have counted; nor does a channel that is closed.
  discover.set(Shop.name, []);
  const gone = await scrape();
  assert.equal(gone[`flotilla_circuit_breaker_openings_total{${breaker}}`], 1);
  assert.equal(gone[`flotilla_circuit_breaker_breakers{flotilla_circuit_breaker_state="open",${breaker}}`], undefined);
  await over.close();
  await busy.close();
  const closed = await scrape();
  for (const [name, value] of Object.entries(values)) {
    if (name.startsWith("flotilla_") && name.includes("_total")) {
      assert.ok((closed[name] ?? -1) >= value, `${name} was ${value}, is ${closed[name]}`);
    }
  }
  assert.equal(closed[`flotilla_retry_budget{${SHOP}}`], undefined, "a closed channel has nothing to tell");

  await running.stop();
  const lines = messages();
  assert.ok(
    lines.some((line) => line.startsWith("overload: calls are refused with 2 allowed at a time: ")),
    lines.join("\n"),
  );
  const circuit = file.lines().find((line) => String(line["msg"]).includes("the circuit of"))!;
  assert.match(
    String(circuit["msg"]),
    /^http:.*: the circuit of shop.v1.Shop\/fail opens: 3 calls in a row failed; next probe in \d+ ms$/,
  );
  assert.deepEqual([circuit["level"], circuit["component"]], [40, "channel"]);
});
