import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { after, test } from "node:test";
import { telemetry } from "../telemetry.ts";
import { deltas } from "./deltas.ts";
import { createMeterProvider } from "./provider.ts";
import { statsd } from "./statsd.ts";

/** A server that keeps the datagrams it gets. */
async function server(): Promise<{ port: number; datagrams: Buffer[]; socket: Socket }> {
  const socket = createSocket("udp4");
  const datagrams: Buffer[] = [];
  socket.on("message", (datagram) => datagrams.push(datagram));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  after(() => void socket.close());
  return { port: socket.address().port, datagrams, socket };
}

interface Sample {
  readonly name: string;
  readonly value: number;
  readonly type: string;
  readonly rate: number;
  readonly tags: readonly string[];
}

/** By the protocol: `name:value|type|@rate|#tag:value,…`. */
function parse(datagrams: readonly Buffer[]): Sample[] {
  return datagrams.flatMap((datagram) =>
    datagram
      .toString()
      .split("\n")
      .map((line) => {
        const match = /^([^:|@#\n]+):(-?[\d.e+-]+)\|(c|g|ms|h)(?:\|@([\d.e-]+))?(?:\|#(.*))?$/.exec(line);
        assert.ok(match !== null, JSON.stringify(line));
        const [, name = "", value, type = "", rate = "1", tags] = match;
        return { name, value: Number(value), type, rate: Number(rate), tags: tags?.split(",") ?? [] };
      }),
  );
}

async function received(datagrams: readonly Buffer[], good: (samples: Sample[]) => boolean): Promise<Sample[]> {
  for (let i = 0; i < 500 && !good(parse(datagrams)); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  return parse(datagrams);
}

test("telemetry sends what was counted since the last time, and once more at the end", async () => {
  const { port, datagrams } = await server();
  const observed = telemetry({
    env: {},
    traces: false,
    logs: false,
    metrics: { process: false, statsd: { port, prefix: "shop." }, intervalMs: 20 },
  });
  const orders = observed.meter!.createCounter("orders", { unit: "{order}" });
  const took = observed.meter!.createHistogram("took", { unit: "s" });
  const stock = observed.meter!.createUpDownCounter("stock");
  orders.add(3, { kind: "bulk", "a|b": "c,d\ne" });
  took.record(0.004);
  took.record(0.003);
  stock.add(-5);
  await received(datagrams, (samples) => samples.some(({ name }) => name === "shop.orders"));
  orders.add(4, { kind: "bulk", "a|b": "c,d\ne" });
  await observed.close();
  const samples = await received(
    datagrams,
    (some) => some.filter(({ name }) => name === "shop.orders").reduce((sum, { value }) => sum + value, 0) === 7,
  );
  const counted = samples.filter(({ name }) => name === "shop.orders");
  assert.equal(
    counted.reduce((sum, { value }) => sum + value, 0),
    7,
  );
  for (const { type, tags } of counted) {
    assert.equal(type, "c");
    assert.deepEqual(tags.toSorted(), ["a_b:c_d_e", "kind:bulk"]);
  }
  const timings = samples.filter(({ name }) => name === "shop.took");
  assert.equal(
    timings.reduce((sum, { rate }) => sum + Math.round(1 / rate), 0),
    2,
    "a bucket is one line, whose rate is its count",
  );
  assert.ok(timings.every(({ type, value }) => type === "ms" && value > 0 && value <= 5000));
  // A gauge below 0 is set to 0 first: a sign would make it a change.
  const levels = samples.filter(({ name }) => name === "shop.stock").map(({ value, type }) => `${value}${type}`);
  assert.deepEqual(levels.slice(0, 2), ["0g", "-5g"]);
});

test("a datagram has no more bytes than it may, and each whole lines", async () => {
  const { port, datagrams } = await server();
  const provider = createMeterProvider();
  const counter = provider.getMeter("test").createCounter("requests");
  for (let i = 0; i < 200; i++) counter.add(i + 1, { path: `/${"x".repeat(i % 40)}/${i}` });
  counter.add(1, { path: "y".repeat(2000) });
  const client = statsd({ port, maxDatagramBytes: 512 });
  await client.send(deltas()(await provider.collect()));
  const samples = await received(datagrams, (some) => some.length === 200);
  assert.equal(samples.length, 200);
  assert.ok(datagrams.every(({ length }) => length <= 512) && datagrams.length > 10);
  assert.equal(client.counts.failed, 1, "the line that fits nowhere");
  await client.close();
});

test("nobody listening costs nothing but the count", async () => {
  const { port, socket } = await server();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  socket.close = () => socket;
  const provider = createMeterProvider();
  provider.getMeter("test").createCounter("requests").add(1);
  const client = statsd({ port });
  for (let i = 0; i < 20; i++) await client.send(await provider.collect());
  const nowhere = statsd({ host: "host.invalid", port });
  await nowhere.send(await provider.collect());
  assert.deepEqual(nowhere.counts, { sent: 0, failed: 1 });
  await Promise.all([client.close(), nowhere.close()]);
});
