import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { background, withCancel, withTimeout } from "../../context/with.ts";
import type { Client } from "../../contract/contract.ts";
import { fromProtobuf } from "../../contract/protobuf/from-protobuf.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { host } from "../../service/host.ts";
import type { HostOptions, RunningHost } from "../../service/host-options.ts";
import { implement } from "../../service/implement.ts";
import { stub } from "../../service/stub.ts";
import { http } from "../http/server.ts";
import { nothingEscapes } from "../http/test-fixtures/bed.ts";
import { grpcClient } from "./client.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "./gen/grpc/health/v1/health_pb.ts";
import { grpc } from "./server.ts";
import { TestContract, testService } from "./test-fixtures/interop-flotilla.ts";

nothingEscapes();

const HealthContract = fromProtobuf(Health);
const ctx = background();

async function bed(
  t: TestContext,
  options: Partial<HostOptions> = {},
): Promise<{ health: Client<typeof HealthContract>; running: RunningHost }> {
  const running = await host({
    name: "test",
    serve: [implement(TestContract, testService)],
    listen: [grpc()],
    onEvent: () => {},
    ...options,
  }).start();
  t.after(() => running.stop());
  const connection = grpcClient().connect(running.addresses[0]!);
  t.after(() => connection.close());
  return { health: stub(HealthContract, (method) => connection.endpoint(method)), running };
}

test("the server, and each service by name, is ready when the host is", async (t) => {
  let broken: Error | undefined;
  const check = (): void => {
    if (broken !== undefined) throw broken;
  };
  const { health } = await bed(t, { checks: { check } });
  for (const service of ["", "grpc.testing.TestService", "grpc.health.v1.Health"]) {
    assert.equal((await health.check(ctx, { service })).status, Status.SERVING, service);
  }
  broken = new Error("the database is down");
  assert.equal((await health.check(ctx, {})).status, Status.NOT_SERVING);
  broken = undefined;
  assert.equal((await health.check(ctx, {})).status, Status.SERVING);
});

test("what is not served is not found, and watched as unknown", async (t) => {
  const { health } = await bed(t);
  await assert.rejects(health.check(ctx, { service: "no.such.Service" }), { code: "not_found" });
  for await (const { status } of health.watch(ctx, { service: "no.such.Service" })) {
    assert.equal(status, Status.SERVICE_UNKNOWN);
    break;
  }
});

test("watchers are told when the host drains, and do not hold it up", async (t) => {
  const { health, running } = await bed(t, { drainTimeoutMs: 60_000 });
  const watching = withCancel(ctx);
  t.after(() => watching.cancel());
  const statuses: Status[] = [];
  let stopping: Promise<void> | undefined;
  await assert.rejects(
    (async () => {
      for await (const { status } of health.watch(watching, {})) {
        statuses.push(status);
        stopping ??= running.stop();
      }
    })(),
    (error) => error instanceof ServiceError && error.code === "unavailable",
  );
  assert.deepEqual(statuses, [Status.SERVING, Status.NOT_SERVING]);
  await stopping;
});

test("watchers are told when a check ceases to hold", async (t) => {
  let broken = false;
  const check = (): void => {
    if (broken) throw new Error("broken");
  };
  const { health } = await bed(t, { checks: { check } });
  const statuses: Status[] = [];
  for await (const { status } of health.watch(withTimeout(ctx, 20_000), {})) {
    if (statuses.push(status) === 2) break;
    broken = true;
  }
  assert.deepEqual(statuses, [Status.SERVING, Status.NOT_SERVING]);
});

test("it is served on the port of HTTP too, and can be left out", async (t) => {
  const { health } = await bed(t, { listen: [http({ protocols: [grpc()] })] });
  assert.equal((await health.check(ctx, {})).status, Status.SERVING);
  const without = await bed(t, { listen: [grpc({ health: false })] });
  await assert.rejects(without.health.check(ctx, {}), { code: "unimplemented" });
});
