import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { background, withTimeout } from "flotilla/context";
import { channel, client } from "flotilla/service";
import { Shipping } from "./gateway/contract.ts";
import { type Collector, isComplete, startCollector } from "./runtime/collector.ts";
import { launch } from "./runtime/launch.ts";
import type { CollectedSpan } from "./runtime/otlp.ts";

// The whole system in processes of its own, which send their spans to a collector here.

const folder = mkdtempSync(join(tmpdir(), "shipping-trace-"));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));

const traceId = "4bf92f3577b34da6a3ce929d0e0e47";
/** The traceparent of a customer who traces as well: the n-th of this test. */
const traceparent = (n: number): string => `00-${traceId}${n.toString(16).padStart(2, "0")}-00f067aa0ba902b7-01`;

/** The spans of the n-th trace, as lines `service kind name`, each indented under its parent; fails on an unknown parent. */
function treeOf(collector: Collector, n: number): string[] {
  const spans = collector.traces().find(([first]) => first?.traceId === traceparent(n).slice(3, 35)) ?? [];
  const lines: string[] = [];
  const kinds = ["internal", "server", "client"];
  const under = (parent: string, depth: number): void => {
    const children = spans.filter(({ parentSpanId }) => parentSpanId === parent);
    for (const span of children.toSorted((a, b) => a.startEpochMs - b.startEpochMs)) {
      lines.push(`${"  ".repeat(depth)}${span.service} ${kinds[span.kind]} ${span.name.split("/")[1] ?? span.name}`);
      under(span.spanId, depth + 1);
    }
  };
  under("00f067aa0ba902b7", 0);
  assert.equal(lines.length, spans.length, `every span's parent is known: ${JSON.stringify(spans.map(brief))}`);
  return lines;
}

function attribute({ attributes }: CollectedSpan, name: string): unknown {
  return attributes[attributes.indexOf(name) + 1];
}

const brief = ({ service, name, spanId, parentSpanId }: CollectedSpan) => ({ service, name, spanId, parentSpanId });

test("the spans of one booking, made in the gateway, booking and routing, are one tree without a gap", async () => {
  const collector = await startCollector();
  const { promise: end, resolve: stop } = Promise.withResolvers<void>();
  let gateway = "";
  const { promise: up, resolve: isUp } = Promise.withResolvers<void>();
  const display = {
    live: false,
    columns: 100,
    colour: false,
    say(line: string) {
      gateway = /(http:\/\/127\.0\.0\.1:\d+)\/ports/.exec(line)?.[1] ?? gateway;
      if (gateway !== "") isUp();
    },
    show() {},
    close() {},
  };
  const options = { forMs: undefined, json: false, seed: 3, rate: 2, port: 0, help: false, trace: false };
  // The processes inherit it.
  Object.assign(process.env, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_BSP_SCHEDULE_DELAY: "100" });
  const running = launch(options, folder, display, end);
  await Promise.race([up, running.then(() => assert.fail("ended before it was up"))]);

  let n = 0;
  const send = async <Body>(method: string, path: string, body?: object): Promise<Body> => {
    const response = await fetch(gateway + path, {
      method,
      headers: { "content-type": "application/json", traceparent: traceparent(++n), connection: "close" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    assert.ok(response.ok, `${response.status} ${path}`);
    return (await response.json()) as Body;
  };
  const order = { origin: "HKHKG", destination: "NLRTM", deadline: new Date(Date.now() + 120 * 864e5).toISOString() };
  const { trackingId: id } = await send<{ trackingId: string }>("POST", "/cargos", order);
  const { routes } = await send<{ routes: { legs: object[] }[] }>("GET", `/cargos/${id}/routes`);
  await send("POST", `/cargos/${id}/route`, { legs: routes[0]?.legs ?? [] });

  // A stream through the gateway to routing, by a client of our own, untraced itself.
  const over = channel({ discover: [gateway] });
  const ctx = withTimeout(background(), 10_000);
  let offers = 0;
  for await (const { legs } of client(Shipping, over).offers(ctx, { id })) if (legs.length > 0) offers++;
  assert.ok(offers > 0);
  await over.close();

  stop();
  const report = await running;
  assert.deepEqual([report.ok, report.troubles], [true, []]);
  await collector.close();

  assert.deepEqual(
    treeOf(collector, 1).filter((line) => !/wait for|ports/.test(line)),
    ["gateway server book", "  gateway client book", "    booking server book"],
  );
  assert.deepEqual(treeOf(collector, 2), [
    "gateway server routes",
    "  gateway client cargo",
    "    booking server cargo",
    "  gateway client routes",
    "    routing server routes",
  ]);
  assert.deepEqual(treeOf(collector, 3), [
    "gateway server assignRoute",
    "  gateway client assignRoute",
    "    booking server assignRoute",
    "      booking client verify",
    "        routing server verify",
  ]);

  // Booking asks routing by gRPC.
  const verified = collector
    .traces()
    .flat()
    .filter(({ traceId: id, name }) => id === traceparent(3).slice(3, 35) && name.endsWith("/verify"));
  assert.deepEqual(
    verified.map((span) => attribute(span, "rpc.system.name")),
    ["grpc", "grpc"],
  );

  const streams = collector.traces().filter((spans) => spans.some(({ name }) => name.endsWith("Shipping/offers")));
  assert.equal(streams.length, 1);
  const [stream = []] = streams;
  assert.ok(isComplete(stream), JSON.stringify(stream.map(brief)));
  assert.deepEqual(stream.map(({ service, kind, name }) => `${service} ${kind} ${name.split("/")[1]}`).sort(), [
    "booking 1 cargo",
    "gateway 1 offers",
    "gateway 2 cargo",
    "gateway 2 offers",
    "routing 1 offers",
  ]);

  // All that the customers did meanwhile, too: what began at the gateway has no gap anywhere.
  const whole = collector.traces().filter((spans) => spans.some(({ service }) => service === "gateway"));
  assert.ok(whole.length > 4, `${whole.length}`);
  for (const spans of whole) {
    if (spans[0]?.traceId.startsWith(traceId)) continue;
    assert.ok(isComplete(spans), JSON.stringify(spans.map(brief)));
  }
});
