import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { Context } from "../context/context.ts";
import { afterFunc, background } from "../context/with.ts";
import type { Registrar } from "../discovery/discovery.ts";
import type { LifecycleEvent } from "../endpoint/lifecycle-event.ts";
import type { Listener, Listening } from "../endpoint/transport.ts";
import { ServiceError } from "../errors/service-error.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { failureOf, Notes } from "../testing/transport-bed.ts";
import { memory } from "../transport/memory/memory.ts";
import { client } from "./channel.ts";
import { type Host, host } from "./host.ts";
import type { HostOptions, RunningHost } from "./host-options.ts";
import { implement } from "./implement.ts";

const note = { n: 1, text: "" };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A host on a virtual clock and a network of its own, that notes each step of its end. */
function bed(options: Partial<HostOptions> = {}) {
  const clock = new VirtualClock();
  const net = memory();
  const registry = new TestRegistry();
  const steps: string[] = [];
  const events: LifecycleEvent[] = [];
  let release!: () => void;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  let ended: unknown;
  const service = implement(Notes, {
    async one(ctx, request) {
      if (request.n === 0) return request;
      await new Promise<void>((resolve, reject) => {
        void afterFunc(ctx, () => {
          ended = ctx.cause;
          reject(ctx.err!);
        });
        void gate.then(resolve);
      });
      steps.push("call finished");
      return request;
    },
    many: () => assert.fail(),
    collect: () => assert.fail(),
    chat: () => assert.fail(),
  });
  const listener: Listener = {
    protocol: "memory",
    async listen(services, root) {
      const listening = await net.listener("notes").listen(services, root);
      return {
        protocol: "memory",
        address: listening.address,
        get inFlight() {
          return listening.inFlight;
        },
        discourage: () => void steps.push("discourage"),
        drain() {
          steps.push("drain");
          return listening.drain();
        },
        close(cause) {
          steps.push("close listener");
          return listening.close(cause);
        },
      };
    },
  };
  const registrar: Registrar = {
    async register(ctx, name, instance) {
      const registration = await registry.register(ctx, name, instance);
      return {
        error: undefined,
        deregister(inner) {
          steps.push("deregister");
          return registration.deregister(inner);
        },
      };
    },
  };
  const process = host({
    name: "notes",
    serve: [service],
    listen: [listener],
    register: registrar,
    admin: false,
    clock,
    onEvent: (event) => events.push(event),
    close: [
      { close: () => void steps.push("close database") },
      { [Symbol.dispose]: () => void steps.push("close client") },
    ],
    ...options,
  });
  const notes = client(Notes, { discover: registry, transport: net, clock, retry: false });
  return { clock, ctx: background(clock), net, registry, steps, events, release, process, notes, cause: () => ended };
}

/** A listener's own members, without what its class has besides. */
function bare(listening: Listening): Listening {
  return {
    protocol: listening.protocol,
    address: listening.address,
    inFlight: 0,
    discourage: () => listening.discourage(),
    drain: () => listening.drain(),
    close: (cause) => listening.close(cause),
  };
}

const started = (process: Host): Promise<RunningHost> => process.start();

describe("start", () => {
  test("serves, then registers each service at each listener, with what was said of the instance", async () => {
    const net = memory();
    const { process, registry, events } = bed({
      listen: [net.listener("a"), net.listener("b")],
      instance: { zone: "z", weight: 2, version: "3", metadata: { shard: "7" } },
    });
    const running = await started(process);
    assert.deepEqual(running.addresses, ["memory://a", "memory://b"]);
    assert.equal(running.adminAddress, undefined);
    const [first, second] = registry.instances(Notes.name);
    assert.match(first!.id, /^notes-[0-9a-f]{8}-memory$/);
    assert.equal(second!.id, `${first!.id}-2`);
    assert.deepEqual(first, {
      id: first!.id,
      address: "memory://a",
      zone: "z",
      weight: 2,
      version: "3",
      metadata: { host: "notes", pid: String(globalThis.process.pid), shard: "7" },
    });
    assert.deepEqual(
      events.map(({ event, message }) => `${event}: ${message}`),
      ["started: serving flotilla.testing.v1.Notes at memory://a, memory://b"],
    );
    const stopping = running.stop();
    await turn();
    assert.deepEqual(registry.instances(Notes.name), []);
    void stopping.catch(() => {});
  });

  test("a listener that nobody calls, as one of messages from a queue, is registered nowhere", async () => {
    const net = memory();
    const queue: Listener = {
      protocol: "queue",
      async listen(services, root) {
        const listening = await net.listener("queue").listen(services, root);
        return { ...bare(listening), discoverable: false };
      },
    };
    const { process, registry } = bed({ listen: [queue, net.listener("a")] });
    const running = await started(process);
    assert.deepEqual(running.addresses, ["memory://queue", "memory://a"]);
    assert.deepEqual(
      registry.instances(Notes.name).map(({ address }) => address),
      ["memory://a"],
    );
    void running.stop().catch(() => {});
    await turn();
  });

  test("an address that is taken fails it, and all that was opened is closed again", async () => {
    const { process, net, registry, steps, events } = bed();
    await net.listener("notes").listen([], background());
    const free = memory();
    const twice = bed({
      listen: [free.listener("a"), free.listener("a")],
      close: [{ close: () => void steps.push("c") }],
    });
    await assert.rejects(started(process), /memory: cannot listen on memory:\/\/notes: the name is in use/);
    assert.deepEqual(steps, ["close client", "close database"]);
    assert.deepEqual(events, []);
    assert.deepEqual(registry.instances(Notes.name), []);
    await assert.rejects(started(twice.process), /memory:\/\/a/);
    await free.listener("a").listen([], background());
  });

  test("a registrar that fails says what could not be registered, where and why; the rest is taken back", async () => {
    const net = memory();
    const registry = new TestRegistry();
    let registered = 0;
    const { process, steps } = bed({
      listen: [net.listener("a"), net.listener("b")],
      register: {
        async register(ctx, service, instance) {
          if (++registered === 2) throw new ServiceError("unavailable", "the folder is read-only");
          return registry.register(ctx, service, instance);
        },
      },
    });
    await assert.rejects(started(process), (error: Error) => {
      assert.equal(
        error.message,
        "host: flotilla.testing.v1.Notes cannot be registered at memory://b: the folder is read-only",
      );
      assert.equal((error.cause as ServiceError).code, "unavailable");
      return true;
    });
    assert.deepEqual(registry.instances(Notes.name), []);
    assert.deepEqual(steps, ["close client", "close database"]);
    await net.listener("a").listen([], background());
  });

  test("a task that fails meanwhile fails it, and leaves no registration behind", async () => {
    const broken = new Error("task broke");
    const registry = new TestRegistry();
    const { process, clock } = bed({
      tasks: { broken: () => Promise.reject(broken) },
      register: {
        async register(ctx, service, instance) {
          await turn();
          return registry.register(ctx, service, instance);
        },
      },
    });
    await assert.rejects(started(process), (error) => error === broken);
    assert.deepEqual(registry.instances(Notes.name), []);
    assert.equal(clock.now(), 0);
  });
});

describe("stop", () => {
  test("takes its steps in order: deregister, wait, stop accepting, finish, tasks, resources in reverse", async () => {
    const { process, notes, ctx, clock, steps, events, release, registry } = bed({
      tasks: {
        async worker(inner) {
          await new Promise<void>((resolve) => void afterFunc(inner, resolve));
          steps.push("task ended");
        },
      },
    });
    const running = await started(process);
    const answer = notes.one(ctx, note);
    await turn();
    const stopping = running.stop();
    assert.equal(running.stop(), stopping);
    await turn();
    assert.deepEqual(registry.instances(Notes.name), []);
    assert.deepEqual(steps, ["deregister", "discourage"]);
    await clock.advance(499);
    assert.deepEqual(steps, ["deregister", "discourage"], "the news needs time to spread");
    await clock.advance(1);
    assert.deepEqual(steps, ["deregister", "discourage", "drain"]);
    release();
    assert.deepEqual(await answer, note);
    await stopping;
    await running.stopped;
    assert.deepEqual(steps, [
      "deregister",
      "discourage",
      "drain",
      "call finished",
      "close listener",
      "task ended",
      "close client",
      "close database",
    ]);
    assert.deepEqual(
      events.map(({ event }) => event),
      ["started", "draining", "stopped"],
    );
    assert.equal(clock.now(), 500);
  });

  test("calls that come while the news spreads are served", async () => {
    const { process, notes, ctx, clock, net } = bed();
    const running = await started(process);
    await notes.one(ctx, { n: 0, text: "" });
    const direct = client(Notes, { discover: running.addresses, transport: net, clock });
    const stopping = running.stop();
    await turn();
    assert.deepEqual(await direct.one(ctx, { n: 0, text: "" }), { n: 0, text: "" });
    await clock.advance(500);
    await stopping;
    assert.equal((await failureOf(notes.one(ctx, note))).code, "unavailable");
  });

  test("calls that outlast the drain are cancelled: their callers hear `unavailable`, the event says how many", async () => {
    const { process, notes, ctx, clock, events, cause } = bed({ drainTimeoutMs: 2000, drainDelayMs: 0 });
    const running = await started(process);
    const failure = failureOf(notes.one(ctx, note));
    await turn();
    const stopping = running.stop();
    await clock.advance(1999);
    assert.equal(cause(), undefined);
    await clock.advance(1);
    await stopping;
    assert.equal((await failure).code, "unavailable");
    assert.equal((cause() as ServiceError).message, "notes is shutting down");
    assert.match(
      events.find(({ event }) => event === "warning")!.message,
      /^1 calls were still in flight after 2000 ms/,
    );
    assert.equal(clock.now(), 2000);
  });

  test("a task that does not end is abandoned; a resource that does not close too", async () => {
    const { process, clock, events, steps } = bed({
      tasks: { stuck: () => new Promise(() => {}) },
      close: [{ close: () => void steps.push("closed all the same") }, { close: () => new Promise(() => {}) }],
      drainTimeoutMs: 1000,
      drainDelayMs: 0,
    });
    const running = await started(process);
    const stopping = running.stop();
    await clock.advance(1000);
    await clock.advance(5000);
    await stopping;
    assert.deepEqual(
      events.filter(({ event }) => event === "warning").map(({ message }) => message),
      [
        "tasks were still running after 1000 ms and are abandoned",
        "a resource was not closed within 5000 ms and is abandoned",
      ],
    );
    assert.equal(steps.at(-1), "closed all the same");
  });

  test("no step that fails keeps the next from happening; the first failure is told", async () => {
    const broken = new Error("the file is locked");
    const { process, steps, events, clock } = bed({
      drainDelayMs: 0,
      register: {
        register: async () => ({
          error: undefined,
          deregister: () => {
            throw new Error("registry is gone");
          },
        }),
      },
      close: [
        { close: () => void steps.push("first is last") },
        {
          [Symbol.asyncDispose]: () => Promise.reject(broken),
          close: () => void steps.push("not this way"),
        },
      ],
    });
    const running = await started(process);
    const isIt = (error: unknown): boolean => error === broken;
    await assert.rejects(running.stop(), isIt);
    await assert.rejects(running.stopped, isIt);
    assert.deepEqual(steps, ["discourage", "drain", "close listener", "first is last"]);
    assert.deepEqual(
      events
        .filter(({ event }) => event === "warning")
        .map(({ message, error }) => [message, (error as Error).message]),
      [
        ["could not be deregistered: the lease will run out", "registry is gone"],
        ["a resource could not be closed", "the file is locked"],
      ],
    );
    assert.equal(clock.pending, 0);
  });
});

describe("tasks", () => {
  test("one that ends ends the host", async () => {
    let end!: () => void;
    const { process, events, clock } = bed({
      tasks: { short: () => new Promise<void>((resolve) => (end = resolve)) },
      drainDelayMs: 0,
    });
    const running = await started(process);
    end();
    await running.stopped;
    assert.deepEqual(events.map(({ event, message }) => `${event}: ${message}`).slice(1), [
      "warning: task short has ended: the host stops",
      "draining: task short has ended: finishing what is in flight",
      "stopped: stopped",
    ]);
    assert.equal(clock.pending, 0);
  });

  test("one that fails ends the host with its error", async () => {
    const broken = new Error("queue is gone");
    let fail!: (error: Error) => void;
    const { process, events } = bed({
      tasks: { queue: () => new Promise<void>((_resolve, reject) => (fail = reject)) },
      drainDelayMs: 0,
    });
    const running = await started(process);
    fail(broken);
    await assert.rejects(running.stopped, (error) => error === broken);
    assert.equal(events.find(({ event }) => event === "failed")!.message, "task queue failed: the host stops");
  });

  test("one that ends as canceled on shutdown ends well; one that fails on shutdown does not go unseen", async () => {
    const until = (ctx: Context, error: () => unknown): Promise<void> =>
      new Promise((_resolve, reject) => void afterFunc(ctx, () => reject(error())));
    const well = bed({ tasks: { a: (ctx) => until(ctx, () => ctx.err) }, drainDelayMs: 0 });
    await (await started(well.process)).stop();
    const broken = new Error("could not flush");
    const ill = bed({ tasks: { a: (ctx) => until(ctx, () => broken) }, drainDelayMs: 0 });
    const running = await started(ill.process);
    await assert.rejects(running.stop(), (error) => error === broken);
    assert.equal(ill.events.find(({ event }) => event === "failed")!.message, "task a failed");
  });
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => host({ name: "" }), /host: name/);
  assert.throws(() => host({ name: "a", drainTimeoutMs: -1 }), /drainTimeoutMs/);
  assert.throws(() => host({ name: "a", drainDelayMs: Number.NaN }), /drainDelayMs/);
});
