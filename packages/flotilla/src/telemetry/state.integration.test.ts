import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { background } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import { channel, client } from "../service/channel.ts";
import { host } from "../service/host.ts";
import { implement } from "../service/implement.ts";
import { httpClient } from "../transport/http/client.ts";
import { http } from "../transport/http/server.ts";
import { type Telemetry, telemetry } from "./telemetry.ts";

const message = z.object({ n: z.number() });
const Work = contract("test.v1.Work", { do: unary({ input: message, output: message }) });

/** The values of a metric by attributes, those of all ports added up. */
async function values(observed: Telemetry, name: string): Promise<Record<string, number>> {
  const metric = (await observed.collect()).find((each) => each.name === name);
  if (metric === undefined) return {};
  assert.ok(metric.type === "sum");
  const sums: Record<string, number> = {};
  for (const { attributes, value } of metric.points) {
    const key = attributes.filter((_, i) => attributes[i - (i % 2)] !== "server.port").join(" ");
    sums[key] = (sums[key] ?? 0) + value;
  }
  return sums;
}

for (const http2 of [false, true]) {
  test(`connections of both sides, calls that wait, instances of a service; HTTP/${http2 ? 2 : "1.1"}`, async (t) => {
    const observed = telemetry({ env: {}, logs: false, metrics: { process: false } });
    let release!: () => void;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let begun = 0;
    let both!: () => void;
    const arrived = new Promise<void>((resolve) => {
      both = resolve;
    });
    const running = await host({
      name: "worker",
      serve: [
        implement(Work, {
          async do(_ctx, request) {
            if (++begun === 2) both();
            await gate;
            return request;
          },
        }),
      ],
      listen: [http()],
      admin: false,
      telemetry: observed,
      onEvent() {},
    }).start();
    // Nothing listens at the second address: calls that go there go on to the other.
    const discover = [...running.addresses, "http://127.0.0.1:1"];
    const transport = httpClient({ http2, maxConnections: 2 });
    const over = channel({ discover, transport, telemetry: observed });
    t.after(async () => {
      release();
      await over.close();
      await running.stop();
    });
    const work = client(Work, over);
    const calls = Array.from({ length: 4 }, (_, n) => work.do(background(), { n }));
    await arrived;
    // Some calls were refused at the second address first, and are on their way to where they wait.
    const at = "server.address 127.0.0.1";
    const settled = async (): Promise<boolean> =>
      http2 ? begun === 4 : (await values(observed, "flotilla.client.waiting_calls"))[at] === 2;
    for (let i = 0; i < 500 && !(await settled()); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    const states = "flotilla.instance.state";
    assert.deepEqual(await values(observed, "flotilla.client.instances"), {
      [`${states} up rpc.service test.v1.Work`]: 1,
      [`${states} down rpc.service test.v1.Work`]: 1,
    });
    assert.deepEqual(await values(observed, "flotilla.server.connections"), { [at]: http2 ? 1 : 2 });
    const { open, waiting } = {
      open: await values(observed, "http.client.open_connections"),
      waiting: await values(observed, "flotilla.client.waiting_calls"),
    };
    assert.equal(open[`http.connection.state active ${at}`], http2 ? 1 : 2, JSON.stringify(open));
    assert.equal(open[`http.connection.state idle ${at}`], 0);
    assert.equal(waiting[at], http2 ? 0 : 2);

    release();
    await Promise.all(calls);
    await over.close();
    assert.deepEqual(await values(observed, "flotilla.client.instances"), {}, "a closed channel has nothing to tell");
    await running.stop();
    assert.deepEqual(await values(observed, "flotilla.server.connections"), {});
  });
}
