import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { embedded } from "flotilla/discovery";
import { freePort, serverPath, skipWithout, startServer } from "../../../scripts/servers.ts";
import { launch } from "./runtime/launch.ts";
import { shippingServices } from "./runtime/services.ts";

const folder = mkdtempSync(join(tmpdir(), "shipping-prometheus-"));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));

/** Starts the system. @returns the admin ports of its seven processes, `host:port`, once all are there. */
async function startShipping() {
  const { promise: end, resolve: stop } = Promise.withResolvers<void>();
  const display = { live: false, columns: 100, colour: false, say() {}, show() {}, close() {} };
  const options = { forMs: undefined, json: false, seed: 3, rate: 5, port: 0, trace: false, help: false };
  const running = launch(options, folder, display, end);
  const { promise: all, resolve } = Promise.withResolvers<void>();
  const found = new Map<string, readonly string[]>();
  // A process that speaks several protocols is registered under an address for each.
  const adminPorts = (): string[] => [...new Set([...found.values()].flat())];
  const registry = embedded({ dir: join(folder, "registry") });
  const watches = shippingServices(folder, 1, 0).map(({ contract }) =>
    registry.watch(contract, {
      update(instances) {
        const admins = instances.map(({ metadata }) => new URL(metadata?.["admin"] ?? "").host);
        found.set(contract, admins);
        if (adminPorts().length === 7) resolve();
      },
      error: () => {},
    }),
  );
  await Promise.race([all, running.then(() => assert.fail("ended before it was up"))]);
  for (const watch of watches) watch.stop();
  return {
    admins: adminPorts(),
    async stop() {
      stop();
      return running;
    },
  };
}

interface Answer {
  readonly status: string;
  readonly data: { readonly result: { readonly metric: Record<string, string>; readonly value: [number, string] }[] };
}

async function startPrometheus(targets: readonly string[]) {
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const server = await startServer({
    command: await serverPath("prometheus"),
    args: (own) => [
      `--config.file=${own}/prometheus.yml`,
      `--storage.tsdb.path=${own}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--enable-feature=exemplar-storage",
    ],
    files: {
      "prometheus.yml": JSON.stringify({
        global: { scrape_interval: "500ms", scrape_timeout: "400ms" },
        scrape_configs: [{ job_name: "shipping", static_configs: [{ targets }] }],
      }),
    },
    ready: async () => (await fetch(`${address}/-/ready`)).ok,
    timeoutMs: 30_000,
  });
  const ask = async <Body>(path: string, query: Record<string, string>): Promise<Body> => {
    const url = `${address}${path}?${new URLSearchParams(query).toString()}`;
    const response = await fetch(url, { headers: { connection: "close" } });
    const body = (await response.json()) as Body & { status: string; error?: string };
    assert.equal(body.status, "success", body.error);
    return body;
  };
  /** Values of an instant query, by label. */
  const query = async (text: string, label: string): Promise<Map<string, number>> => {
    const { data } = await ask<Answer>("/api/v1/query", { query: text });
    return new Map(data.result.map(({ metric, value }) => [metric[label] ?? "", Number(value[1])]));
  };
  return { server, ask, query };
}

/** Asks until the answer is as it should be, half a minute at most. */
async function until<T>(ask: () => Promise<T>, good: (answer: T) => boolean): Promise<T> {
  let answer = await ask();
  for (let i = 0; i < 120 && !good(answer); i++) {
    await wait(250);
    answer = await ask();
  }
  return answer;
}

/** What `promtool check metrics` has to say of a page; empty when all is well. */
async function promtool(url: string): Promise<string> {
  const page = await (await fetch(url, { headers: { connection: "close" } })).text();
  const child = execFile(await serverPath("promtool"), ["check", "metrics"]);
  child.stdin?.end(page);
  const [out, err] = await Promise.all([text(child.stdout!), text(child.stderr!)]);
  // OpenTelemetry's name for it, which promtool would rather have otherwise.
  return (out + err).replace(/^process_open_file_descriptor_count non-histogram .*\n/m, "");
}

describe("Prometheus", { skip: await skipWithout("prometheus", "promtool") }, () => {
  test("scrapes every process of the system, and answers what is asked of rates, errors and durations", async () => {
    const system = await startShipping();
    const { server, ask, query } = await startPrometheus(system.admins);
    try {
      const up = await until(
        () => query("up", "instance"),
        (seen) => seen.size === 7 && [...seen.values()].every((one) => one === 1),
      );
      assert.deepEqual([...up.values()], [1, 1, 1, 1, 1, 1, 1], JSON.stringify([...up]));

      const services = await until(
        () => query("sum by (service_name) (target_info)", "service_name"),
        (seen) => seen.get("routing") === 3 && seen.size === 5,
      );
      assert.deepEqual(Object.fromEntries(services), { booking: 1, gateway: 1, handling: 1, routing: 3, tracking: 1 });

      const rates = "sum by (rpc_method) (rate(rpc_server_call_duration_seconds_count[5s]))";
      const busy = (seen: Map<string, number>) => (seen.get("shipping.routing.v1.Routing/verify") ?? 0) > 0;
      assert.ok(busy(await until(() => query(rates, "rpc_method"), busy)), rates);

      const p99 =
        "histogram_quantile(0.99, sum by (le, rpc_method) (rate(rpc_server_call_duration_seconds_bucket[5s])))";
      const bookingOf = (seen: Map<string, number>) => seen.get("shipping.booking.v1.Booking/book") ?? 0;
      const booking = bookingOf(
        await until(
          () => query(p99, "rpc_method"),
          (seen) => bookingOf(seen) > 0,
        ),
      );
      assert.ok(booking > 0 && booking < 10, `${booking} s`);

      // What the client of a service measures cannot be less than what the service measures, nor can calls be missing.
      const both = await query(
        'sum(rpc_client_call_duration_seconds_sum{rpc_method=~".*Routing/verify"}) > bool sum(rpc_server_call_duration_seconds_sum{rpc_method=~".*Routing/verify"})',
        "",
      );
      assert.deepEqual([...both.values()], [1]);

      const end = Math.ceil(Date.now() / 1000);
      const exemplars = await ask<{ data: { exemplars: { labels: { trace_id?: string } }[] }[] }>(
        "/api/v1/query_exemplars",
        { query: "rpc_server_call_duration_seconds_bucket", start: String(end - 60), end: String(end) },
      );
      const ids = exemplars.data.flatMap(({ exemplars: some }) => some.map(({ labels }) => labels.trace_id ?? ""));
      assert.ok(ids.length > 0 && ids.every((id) => /^[0-9a-f]{32}$/.test(id)), JSON.stringify(ids.slice(0, 3)));

      for (const admin of system.admins) assert.equal(await promtool(`http://${admin}/metrics`), "");

      // Nothing of what it read was not to its liking.
      const { data } = await ask<{ data: { activeTargets: { lastError: string }[] } }>("/api/v1/targets", {});
      assert.deepEqual(new Set(data.activeTargets.map(({ lastError }) => lastError)), new Set([""]));
      assert.ok(!/level=(warn|error)/.test(server.output()), server.output());
    } finally {
      await server.stop();
      const report = await system.stop();
      assert.deepEqual(report.troubles, []);
    }
  });
});
