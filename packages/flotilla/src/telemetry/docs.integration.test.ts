import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { z } from "zod";
import { prequal } from "../balance/prequal.ts";
import { background } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import { circuitBreaker } from "../resilience/breaker/circuit-breaker.ts";
import { fallback } from "../resilience/fallback.ts";
import { loadReporting } from "../resilience/load-reporting.ts";
import { egressLimit } from "../resilience/rate-limit/egress-limit.ts";
import { rateLimit } from "../resilience/rate-limit/rate-limit.ts";
import { atMostOnce } from "../resilience/reuse/at-most-once.ts";
import { responseCache } from "../resilience/reuse/response-cache.ts";
import { singleFlight } from "../resilience/reuse/single-flight.ts";
import { channel, client } from "../service/channel.ts";
import { serverDefaults } from "../service/defaults.ts";
import { host } from "../service/host.ts";
import { implement } from "../service/implement.ts";
import { failureOf } from "../testing/transport-bed.ts";
import { http } from "../transport/http/server.ts";
import { logFile } from "./log/test-fixtures/log-bed.ts";
import { telemetry } from "./telemetry.ts";
import { attributesOf, RecordingSink } from "./trace/test-fixtures/recorder.ts";

const docs = readFileSync(join(import.meta.dirname, "../../../../docs/telemetry.md"), "utf8");

/** What stands between backticks in the first column of the table under a heading; `.min` after `a.b.max` is `a.b.min`. */
function documented(columns: string): Set<string> {
  const start = docs.indexOf(`| ${columns} |`);
  assert.ok(start >= 0, `a table of ${columns}`);
  const names = new Set<string>();
  for (const row of docs.slice(start).split("\n\n")[0]!.split("\n").slice(2)) {
    let last = "";
    for (const [, name = ""] of row.split("|")[1]!.matchAll(/`([^`]+)`/g)) {
      last = name.startsWith(".") ? last.slice(0, last.lastIndexOf(".")) + name : name;
      names.add(last);
    }
  }
  return names;
}

const message = z.object({ n: z.number() });
const Front = contract("test.v1.Front", {
  ask: unary({ input: message, output: message, rest: "GET /ask/{n}", safe: true }),
  fail: unary({ input: message, output: message }),
});
const file = logFile();
const sink = new RecordingSink();
const observed = telemetry({
  service: "front",
  env: {},
  traces: { sinks: [sink] },
  logs: { fd: file.fd, format: "json" },
});
const running = await host({
  name: "front",
  serve: [
    implement(
      Front,
      {
        ask: (_ctx, request) => request,
        fail: async (ctx, { n }) => {
          await front.ask(ctx, { n });
          throw new Error("broken");
        },
      },
      { use: [rateLimit({ perSecond: 1000 }), atMostOnce()] },
    ),
  ],
  use: [...serverDefaults(), loadReporting()],
  listen: [http()],
  telemetry: observed,
}).start();
const over = channel({
  // Two, so that there is something to choose from, and to ask.
  discover: running.addresses.flatMap((address) => [address, address.replace("127.0.0.1", "localhost")]),
  balance: prequal(),
  telemetry: observed,
  use: [fallback(Front, {}), responseCache({ ttlMs: 0 }), singleFlight(), egressLimit({ perSecond: 1000 })],
  hedge: {},
  perInstance: () => [circuitBreaker()],
});
const front = client(Front, over);
after(() => file.remove());

test("every metric, attribute of a span and field of a line is in docs/telemetry.md, and every metric there exists", async () => {
  await failureOf(front.fail(background(), { n: 1 }));
  await (await fetch(`${running.addresses[0]}/ask/3`, { headers: { connection: "close" } })).text();
  // Garbage collections have their metric once there was one.
  globalThis.gc?.();
  const names = new Set((await observed.collect()).map(({ name }) => name));
  await over.close();
  await running.stop();

  const metrics = documented("metric | kind, unit | attributes");
  assert.deepEqual(
    [...names].filter((name) => !metrics.has(name)),
    [],
    "metrics without a row",
  );
  const rare = new Set(["v8js.gc.duration"]);
  assert.deepEqual(
    [...metrics].filter((name) => !names.has(name) && !rare.has(name)),
    [],
    "rows without a metric",
  );

  const attributes = documented("attribute | on |");
  for (const span of sink.spans) {
    for (const name of Object.keys(attributesOf([...span.preset, ...span.attributes]))) {
      assert.ok(attributes.has(name), `the attribute ${name} of ${span.name}`);
    }
  }

  const fields = documented("field | |");
  const lines = file.lines();
  assert.ok(lines.length >= 5);
  for (const line of lines) for (const name of Object.keys(line)) assert.ok(fields.has(name), `the field ${name}`);
});
