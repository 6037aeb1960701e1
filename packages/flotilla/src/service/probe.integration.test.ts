import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import type { Balancer, BalancerDeps, BalancerFactory, Candidate } from "../balance/balancer.ts";
import { roundRobin } from "../balance/round-robin.ts";
import { background } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import { fixed } from "../discovery/fixed.ts";
import type { Middleware } from "../endpoint/endpoint.ts";
import type { LoadReport } from "../endpoint/load-report.ts";
import type { Connector, Listener } from "../endpoint/transport.ts";
import { loadReporting } from "../resilience/load-reporting.ts";
import { type Telemetry, telemetry } from "../telemetry/telemetry.ts";
import { RecordingSink } from "../telemetry/trace/test-fixtures/recorder.ts";
import { httpClient } from "../transport/http/client.ts";
import { http } from "../transport/http/server.ts";
import { memory } from "../transport/memory/memory.ts";
import { channel } from "./channel.ts";
import { host } from "./host.ts";
import { implement } from "./implement.ts";
import { stub } from "./stub.ts";

const message = z.object({ n: z.number() });
const Work = contract("test.v1.Work", { do: unary({ input: message, output: message, idempotent: true }) });

/** Picks in turn, and lets a test ask the candidates. */
function asking() {
  const reports: LoadReport[] = [];
  const asked: { deps?: BalancerDeps; first?: Candidate } = {};
  const balance: BalancerFactory = <C extends Candidate>(deps: BalancerDeps<C>): Balancer<C> => {
    asked.deps = deps as unknown as BalancerDeps;
    const turn = roundRobin()<C>(deps);
    return {
      update(candidates) {
        asked.first = candidates[0]!;
        turn.update(candidates);
      },
      pick: (ctx, tried) => turn.pick(ctx, tried),
      report: (_candidate, load) => void reports.push(load),
    };
  };
  return { balance, reports, probe: () => asked.deps!.probe!(asked.first!) };
}

const net = memory();
const transports: Record<string, () => { listener: Listener; connector: Connector }> = {
  http: () => ({ listener: http({ port: 0 }), connector: httpClient() }),
  memory: () => ({ listener: net.listener("work"), connector: net }),
};

for (const [name, transport] of Object.entries(transports)) {
  describe(`probes over ${name}`, () => {
    async function system(use: readonly Middleware[], observed?: Telemetry) {
      const { listener, connector } = transport();
      const told = observed === undefined ? {} : { telemetry: observed };
      const seen: string[] = [];
      const noting: Middleware = (next, { procedure }) =>
        async function noting(ctx, request) {
          seen.push(procedure);
          return next(ctx, request);
        };
      const work = implement(Work, { do: async (_ctx, request) => request });
      const running = await host({
        name: "work",
        serve: [work],
        use: [noting, ...use],
        listen: [listener],
        admin: false,
        onEvent() {},
        ...told,
      }).start();
      const { balance, reports, probe } = asking();
      const over = channel({ discover: fixed(running.addresses), transport: connector, balance, ...told });
      const close = async (): Promise<void> => {
        await over.close();
        await running.stop();
      };
      return { over, work: stub(Work, (method) => over.endpoint(method)), reports, probe, seen, close };
    }

    test("the host answers them beside all it serves, and what it says reaches the balancer as from any answer", async () => {
      const { work, reports, probe, seen, close } = await system([loadReporting()]);
      try {
        await work.do(background(), { n: 1 });
        assert.equal(reports.length, 1);
        assert.equal(await probe(), true);
        assert.equal(reports.length, 2);
        assert.equal(reports[1]!.requestsInFlight, 0);
        assert.ok(reports[1]!.latencyMs > 0);
        assert.deepEqual(seen, [Work.methods[0]!.procedure], "nothing stands around a probe");
      } finally {
        await close();
      }
    });

    test("they are counted where they come from, and leave no trace where they go", async () => {
      const sink = new RecordingSink();
      const observed = telemetry({ env: {}, logs: false, metrics: { process: false }, traces: { sinks: [sink] } });
      const { work, probe, close } = await system([loadReporting()], observed);
      try {
        await work.do(background(), { n: 1 });
        for (let i = 0; i < 3; i++) assert.equal(await probe(), true);
        const metrics = new Map((await observed.collect()).map((metric) => [metric.name, metric]));
        const probes = metrics.get("flotilla.client.probes");
        assert.ok(probes?.type === "sum");
        assert.deepEqual(
          probes.points.map(({ attributes, value }) => [...attributes, value]),
          [["rpc.service", Work.name, 3]],
        );
        assert.equal(metrics.get("rpc.server.call.duration")!.points.length, 1, "of one method");
        assert.equal(sink.spans.length, 2, "the call, at either end");
      } finally {
        await close();
      }
    });

    test("a server that knows nothing of them is asked once", async () => {
      const { work, reports, probe, close } = await system([]);
      try {
        await work.do(background(), { n: 1 });
        for (let i = 0; i < 3; i++) assert.equal(await probe(), false);
        assert.deepEqual(reports, []);
      } finally {
        await close();
      }
    });

    test("one that cannot be reached may be asked again", async () => {
      const { work, probe, close } = await system([loadReporting()]);
      await work.do(background(), { n: 1 });
      await close();
      assert.equal(await probe(), true);
    });
  });
}
