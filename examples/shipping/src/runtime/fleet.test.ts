import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { InstanceObserver } from "flotilla/discovery";
import { Fleet, type ServiceSpec } from "./fleet.ts";

const folder = mkdtempSync(join(tmpdir(), "shipping-fleet-"));
after(() => rmSync(folder, { recursive: true }));

/** A registry that holds what the test says. */
function registry() {
  const observers = new Map<string, InstanceObserver>();
  return {
    instancer: {
      watch: (service: string, observer: InstanceObserver) => {
        observers.set(service, observer);
        return { stop: () => void observers.delete(service) };
      },
    },
    set: (service: string, pids: readonly number[]) => {
      const instances = pids.map((pid) => ({
        id: `i${pid}`,
        address: `http://127.0.0.1:${pid}`,
        metadata: { pid: String(pid) },
      }));
      observers.get(service)?.update(instances);
    },
  };
}

function spec(name: string, source: string, replicas = 1): ServiceSpec {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, source);
  return { name, file, replicas, contract: `test.${name}`, env: {} };
}

const reports = `process.send({ kind: "served", served: { calls: 3, refused: 1, errors: 0, latency: [] } });`;
const stays = `${reports} setInterval(() => {}, 1000); process.on("SIGTERM", () => process.exit(0));`;

function pidsOf(fleet: Fleet, name: string): readonly number[] {
  return fleet.states().find((state) => state.name === name)?.pids ?? [];
}

/** Waits until as many calls were reported: then the processes listen to signals. */
async function reported(fleet: Fleet, calls: number): Promise<void> {
  while (fleet.states().reduce((all, { served }) => all + served.calls, 0) < calls) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("a fleet is up when all are in the registry; who dies is replaced once its lease has run out", async () => {
  const { instancer, set } = registry();
  const said: string[] = [];
  const back = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const fleet = new Fleet({
    services: [spec("one", stays), spec("two", stays, 2)],
    registry: instancer,
    logs: folder,
    tell: (line) => {
      said.push(line.replace(/pid \d+/, "pid N").replace(/[\d.]+ s /, "N s "));
      if (line.includes("SIGKILL")) gone.resolve();
      if (line.includes("is back")) back.resolve();
    },
  });
  const started = fleet.start();
  await reported(fleet, 9);
  const [one = 0] = pidsOf(fleet, "one");
  const [first = 0, second = 0] = pidsOf(fleet, "two");
  set("test.one", [one]);
  set("test.two", [first, second]);
  await started;
  assert.deepEqual(fleet.addresses("one"), [`http://127.0.0.1:${one}`]);

  process.kill(first, "SIGKILL");
  await gone.promise;
  assert.deepEqual(pidsOf(fleet, "two"), [second]);
  set("test.two", [second]);
  await new Promise((resolve) => setImmediate(resolve));
  const third = pidsOf(fleet, "two").find((pid) => pid !== second) ?? 0;
  assert.notEqual(third, 0);
  set("test.two", [second, third]);
  await back.promise;
  assert.deepEqual(said, [
    "two-1 (pid N) was ended by SIGKILL",
    "two-1 left the registry N s after its death; starting another",
    "two-1 is back (pid N)",
  ]);
  assert.equal(fleet.states()[1]?.restarts, 1);
  // What the dead one had served is not forgotten.
  await reported(fleet, 12);
  assert.deepEqual(await fleet.stop(), []);
  assert.deepEqual(pidsOf(fleet, "two"), []);
});

test("a process that ends before it is ready ends the start, with its last words", async () => {
  const { instancer } = registry();
  const broken = spec("broken", `console.error("no database"); process.exit(4);`);
  const fleet = new Fleet({ services: [broken], registry: instancer, logs: folder, tell: () => {} });
  await assert.rejects(fleet.start(), /broken ended before it was ready:\nno database/);
  assert.deepEqual(await fleet.stop(), []);
});
