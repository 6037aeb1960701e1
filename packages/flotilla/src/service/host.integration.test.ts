import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, describe, test } from "node:test";
import { systemClock } from "../clock/system-clock.ts";
import { background } from "../context/with.ts";
import { embedded } from "../discovery/embedded/embedded.ts";
import { until } from "../testing/discovery-recorder.ts";
import { channel, client } from "./channel.ts";
import { host } from "./host.ts";
import type { Setup } from "./test-fixtures/process.ts";
import { Sleeper } from "./test-fixtures/process.ts";

interface Told {
  readonly event?: string;
  readonly message?: string;
  readonly address?: string;
  readonly admin?: string;
  readonly closed?: boolean;
  readonly stuck?: boolean;
  readonly cut?: string;
}

/** A host in a process of its own. */
class Child {
  readonly process: ChildProcess;
  readonly told: Told[] = [];
  /** `0`, or the signal it died of. */
  readonly exit: Promise<number | string>;

  constructor(setup: Setup) {
    const file = join(import.meta.dirname, "test-fixtures/process.ts");
    this.process = spawn(process.execPath, ["--conditions=@flotilla/source", file, JSON.stringify(setup)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    createInterface(this.process.stdout!).on("line", (line) => this.told.push(JSON.parse(line) as Told));
    this.exit = new Promise((resolve) => this.process.on("close", (code, signal) => resolve(code ?? signal!)));
    children.add(this);
  }

  async heard<K extends keyof Told>(key: K, value?: Told[K]): Promise<NonNullable<Told[K]>> {
    const find = (): Told | undefined =>
      this.told.find((told) => told[key] !== undefined && (value === undefined || told[key] === value));
    await until(`the process says ${key} ${value ?? ""}`, () => find() !== undefined);
    return find()![key]!;
  }
}

const children = new Set<Child>();
async function endChildren(): Promise<void> {
  for (const child of children) {
    child.process.kill("SIGKILL");
    await child.exit;
  }
  children.clear();
}

afterEach(endChildren);

const ctx = background();

/** Calls without a pause, from so many callers, until told to stop; gives the failures. */
function load(over: ReturnType<typeof channel>, callers: number, ms: number) {
  const sleeper = client(Sleeper, over);
  const pids = new Map<number, number>();
  /** How often each message was heard. */
  const failures: Record<string, number> = {};
  let going = true;
  const done = Promise.all(
    Array.from({ length: callers }, async () => {
      while (going) {
        try {
          const { pid } = await sleeper.sleep(ctx, { ms });
          pids.set(pid, (pids.get(pid) ?? 0) + 1);
        } catch (error) {
          failures[String(error)] = (failures[String(error)] ?? 0) + 1;
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
    }),
  );
  const stop = async (): Promise<void> => {
    going = false;
    await done;
  };
  return { pids, failures, stop };
}

async function withRegistry(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "flotilla-host-"));
  try {
    await body(join(dir, "registry"));
  } finally {
    // Who still lives renews its lease, in the folder that goes.
    await endChildren();
    await rm(dir, { recursive: true, force: true });
  }
}

describe("signals", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`${signal} under load loses no request, and the process exits with 0`, async () => {
      await withRegistry(async (registry) => {
        const [leaving, staying] = [new Child({ registry }), new Child({ registry })];
        await Promise.all([leaving.heard("address"), staying.heard("address")]);
        const over = channel({ discover: embedded({ dir: registry, ttlMs: 2000 }), retry: false });
        const { pids, failures, stop } = load(over, 10, 20);
        await until("both serve", () => pids.size === 2);
        leaving.process.kill(signal);
        assert.equal(await leaving.exit, 0);
        const before = pids.get(staying.process.pid!)!;
        await until("the other goes on", () => pids.get(staying.process.pid!)! > before + 50);
        await stop();
        await over.close();
        assert.deepEqual(failures, {});
        assert.deepEqual(
          leaving.told.filter(({ event }) => event !== undefined).map(({ event }) => event),
          ["started", "draining", "stopped"],
        );
        assert.ok(leaving.told.some(({ closed }) => closed));
      });
    });

    test(`a second signal exits at once, the same one told twice does not (${signal})`, async () => {
      const child = new Child({});
      const over = channel({ discover: [await child.heard("address")], retry: false });
      const call = client(Sleeper, over)
        .stuck(ctx, { ms: 0 })
        .catch(() => {});
      await child.heard("stuck");
      child.process.kill(signal);
      await child.heard("event", "draining");
      const first = systemClock.now();
      child.process.kill(signal);
      // Time is what the rule is about.
      await new Promise<void>((resolve) => systemClock.schedule(400 - (systemClock.now() - first), resolve));
      assert.equal(child.process.exitCode, null);
      child.process.kill(signal);
      assert.equal(await child.exit, signal === "SIGTERM" ? 143 : 130);
      assert.ok(!child.told.some(({ closed }) => closed));
      await over.close();
      await call;
    });
  }

  test("a handler that is stuck is cut after the limit: the caller hears of it, the process exits with 0", async () => {
    const child = new Child({ drainTimeoutMs: 300 });
    const over = channel({ discover: [await child.heard("address")], retry: false });
    const failure = client(Sleeper, over)
      .stuck(ctx, { ms: 0 })
      .catch((error: unknown) => error);
    await child.heard("stuck");
    const startedMs = systemClock.now();
    child.process.kill("SIGTERM");
    assert.equal(await child.heard("cut"), "sleeper is shutting down");
    assert.equal(((await failure) as { code?: string }).code, "unavailable");
    assert.equal(await child.exit, 0);
    const took = systemClock.now() - startedMs;
    assert.ok(took >= 290 && took < 3000, `took ${took} ms`);
    assert.ok(child.told.some(({ closed }) => closed));
    await over.close();
  });

  test("what keeps the process alive after all is closed does not do so for long", async () => {
    const child = new Child({ leak: true });
    await child.heard("address");
    child.process.kill("SIGTERM");
    assert.equal(await child.exit, 0);
    const { message } = child.told.findLast(({ event }) => event === "warning")!;
    assert.match(message!, /^still kept alive by .*Timeout.*: exits all the same$/);
  });
});

test("two hosts, the embedded registry and a client: kill -9 of one loses no idempotent call", async () => {
  await withRegistry(async (registry) => {
    const [dying, staying] = [new Child({ registry }), new Child({ registry })];
    await Promise.all([dying.heard("address"), staying.heard("address")]);
    const over = channel({ discover: embedded({ dir: registry, ttlMs: 2000 }) });
    const { pids, failures, stop } = load(over, 10, 5);
    await until("both serve", () => pids.size === 2);
    dying.process.kill("SIGKILL");
    assert.equal(await dying.exit, "SIGKILL");
    const killedMs = systemClock.now();
    await until("it has left the registry", () => over.instances(Sleeper.name).length === 1);
    const gone = systemClock.now() - killedMs;
    assert.ok(gone < 3000, `found for ${gone} ms after its death, with a lease of 2000 ms`);
    await stop();
    await over.close();
    assert.deepEqual(failures, {});
    assert.ok(pids.get(staying.process.pid!)! > 50);
  });
});

describe("probes", () => {
  const probe = async (address: string, path: string, method = "GET"): Promise<[number, unknown]> => {
    const response = await fetch(`${address}${path}`, { method, headers: { connection: "close" } });
    const text = await response.text();
    return [response.status, text === "" ? undefined : JSON.parse(text)];
  };

  test("liveness, readiness and startup over the whole life", async () => {
    let registered!: () => void;
    let deregistered!: () => void;
    let adminAddress = "";
    let database: Error | undefined;
    let slow = false;
    const process = host({
      name: "probed",
      serve: [{ name: "a.B", methods: [] }],
      listen: [
        {
          protocol: "memory",
          listen: async () => ({
            protocol: "memory",
            address: "memory://a",
            inFlight: 0,
            discourage() {},
            async drain() {},
            async close() {},
          }),
        },
      ],
      register: {
        async register(_ctx, _service, instance) {
          adminAddress = instance.metadata!["admin"]!;
          await new Promise<void>((resolve) => (registered = resolve));
          return { error: undefined, deregister: () => new Promise<void>((resolve) => (deregistered = resolve)) };
        },
      },
      checks: {
        database: () => {
          if (database !== undefined) throw database;
        },
        queue: () => (slow ? new Promise<void>(() => {}) : undefined),
      },
      drainDelayMs: 0,
      onEvent() {},
    });
    const starting = process.start();
    await until("it registers", () => registered !== undefined);
    assert.deepEqual(await probe(adminAddress, "/livez"), [200, { status: "ok" }]);
    assert.deepEqual(await probe(adminAddress, "/startupz"), [503, { status: "starting" }]);
    assert.deepEqual(await probe(adminAddress, "/readyz"), [503, { status: "starting" }]);
    registered();
    const running = await starting;
    assert.equal(running.adminAddress, adminAddress);
    assert.deepEqual(await probe(adminAddress, "/startupz?verbose"), [200, { status: "ok" }]);
    assert.deepEqual(await probe(adminAddress, "/readyz"), [200, { status: "ok" }]);
    assert.deepEqual(await probe(adminAddress, "/readyz", "HEAD"), [200, undefined]);
    database = new Error("no connection to the database");
    assert.deepEqual(await probe(adminAddress, "/readyz"), [
      503,
      { status: "failing", failing: { database: "no connection to the database" } },
    ]);
    assert.deepEqual(await probe(adminAddress, "/livez"), [200, { status: "ok" }], "no reason to restart");
    database = undefined;
    slow = true;
    assert.deepEqual(await probe(adminAddress, "/readyz"), [
      503,
      { status: "failing", failing: { queue: "took longer than 2000 ms" } },
    ]);
    slow = false;
    assert.equal((await probe(adminAddress, "/readyz", "POST"))[0], 405);
    assert.equal((await probe(adminAddress, "/metricz"))[0], 404);
    const stopping = running.stop();
    await until("it deregisters", () => deregistered !== undefined);
    assert.deepEqual(await probe(adminAddress, "/readyz"), [503, { status: "draining" }]);
    assert.deepEqual(await probe(adminAddress, "/livez"), [200, { status: "ok" }]);
    assert.deepEqual(await probe(adminAddress, "/startupz"), [200, { status: "ok" }]);
    deregistered();
    await stopping;
    await assert.rejects(fetch(`${adminAddress}/livez`), "the port is closed");
  });

  test("a port that is taken fails the start, saying which", async () => {
    const first = await host({ name: "a", onEvent() {} }).start();
    const { port } = new URL(first.adminAddress!);
    await assert.rejects(
      host({ name: "b", admin: { port: Number(port) }, onEvent() {} }).start(),
      new RegExp(`cannot open the admin port on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`),
    );
    await first.stop();
  });
});
