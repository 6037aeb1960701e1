import assert from "node:assert/strict";
import { background, withCancel } from "../context/with.ts";
import type { Discovery } from "../discovery/discovery.ts";
import type { Instance } from "../endpoint/instance.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { ContractTest } from "./balancer-contract.ts";
import { SnapshotRecorder, until } from "./discovery-recorder.ts";

/** A registry under test. */
export interface RegistrarBed {
  /** Both sides of it: what is registered is looked up through the same source. */
  readonly discovery: Discovery;
  /** Lets so much time pass that a lease without heartbeats would have run out twice. */
  outliveLease(): Promise<void>;
  /** Ends everything the bed has started. */
  close(): Promise<void>;
}

const service = "contract.v1.Registrar";
const ctx = background();
const full: Instance = {
  id: "full",
  address: "https://[::1]:8443/base",
  zone: "eu-1a",
  weight: 2.5,
  version: "1.2.3",
  metadata: { shard: "7", "a key": 'ü "quoted" \u{1f6a2}' },
};
const plain: Instance = { id: "plain", address: "http://127.0.0.1:8080" };

/**
 * What every registrar must do. Each test makes a bed of its own and closes it.
 *
 * ```ts
 * for (const { name, run } of registrarContract(makeBed)) test(name, run);
 * ```
 */
export function registrarContract(make: () => Promise<RegistrarBed>): ContractTest[] {
  const withBed =
    (body: (discovery: Discovery, bed: RegistrarBed) => Promise<void>): (() => Promise<void>) =>
    async () => {
      const bed = await make();
      try {
        await body(bed.discovery, bed);
      } finally {
        await bed.close();
      }
    };

  return [
    {
      name: "what is registered is found with all it said, as soon as register resolves",
      run: withBed(async (discovery) => {
        const registrations = [
          await discovery.register(ctx, service, full),
          await discovery.register(ctx, service, plain),
        ];
        assert.deepEqual(await lookUp(discovery), [full, plain]);
        for (const registration of registrations) {
          assert.equal(registration.error, undefined);
          await registration.deregister(ctx);
        }
      }),
    },
    {
      name: "what is deregistered is not found as soon as deregister resolves; doing it again is fine",
      run: withBed(async (discovery) => {
        const kept = await discovery.register(ctx, service, full);
        const gone = await discovery.register(ctx, service, plain);
        await Promise.all([gone.deregister(ctx), gone.deregister(ctx)]);
        assert.deepEqual(await lookUp(discovery), [full]);
        await gone.deregister(ctx);
        await kept.deregister(ctx);
        assert.deepEqual(await lookUp(discovery), []);
      }),
    },
    {
      name: "tells a watch that is running of both",
      run: withBed(async (discovery) => {
        const seen = new SnapshotRecorder();
        const watch = discovery.watch(service, seen);
        const registration = await discovery.register(ctx, service, plain);
        await until("the instance shows", () => seen.last?.length === 1);
        await registration.deregister(ctx);
        await until("the instance is gone", () => seen.last?.length === 0);
        watch.stop();
      }),
    },
    {
      name: "keeps an instance registered for as long as it is not deregistered",
      run: withBed(async (discovery, bed) => {
        const seen = new SnapshotRecorder();
        const watch = discovery.watch(service, seen);
        const registration = await discovery.register(ctx, service, plain);
        await until("the instance shows", () => seen.last?.length === 1);
        const before = seen.told.length;
        await bed.outliveLease();
        assert.equal(seen.told.length, before, "the watch was told of something");
        assert.deepEqual(await lookUp(discovery), [plain]);
        assert.equal(registration.error, undefined);
        watch.stop();
        await registration.deregister(ctx);
      }),
    },
    {
      name: "keeps services apart",
      run: withBed(async (discovery) => {
        const here = await discovery.register(ctx, service, plain);
        const there = await discovery.register(ctx, `${service}.Other`, plain);
        await here.deregister(ctx);
        assert.deepEqual(await lookUp(discovery), []);
        assert.deepEqual(await lookUp(discovery, `${service}.Other`), [plain]);
        await there.deregister(ctx);
      }),
    },
    {
      name: "an id can be registered again after it was deregistered, saying something else",
      run: withBed(async (discovery) => {
        await (await discovery.register(ctx, service, plain)).deregister(ctx);
        const changed = { ...plain, version: "2" };
        const again = await discovery.register(ctx, service, changed);
        assert.deepEqual(await lookUp(discovery), [changed]);
        await again.deregister(ctx);
      }),
    },
    {
      name: "takes names as they are, whatever they look like to a file system or a URL",
      run: withBed(async (discovery) => {
        const names = [
          "..",
          "../../etc/passwd",
          "a",
          "A",
          "a/b",
          "a%2Fb",
          "con",
          ".hidden",
          "zähler \u{1f6a2}",
          "a~b.json",
        ];
        const registrations = await Promise.all(names.map((id) => discovery.register(ctx, service, { ...plain, id })));
        const odd = await discovery.register(ctx, "../odd/service", plain);
        const found = (await lookUp(discovery)).map(({ id }) => id);
        assert.deepEqual(found, [...names].sort());
        assert.deepEqual(await lookUp(discovery, "../odd/service"), [plain]);
        await Promise.all([...registrations, odd].map((registration) => registration.deregister(ctx)));
      }),
    },
    {
      name: "refuses what is no instance with invalid_argument, saying what is wrong",
      run: withBed(async (discovery) => {
        const bad: [RegExp, string, Instance][] = [
          [/service name/, "", plain],
          [/instance id/, service, { ...plain, id: "" }],
          [/address/, service, { ...plain, address: "127.0.0.1:8080" }],
          [/weight/, service, { ...plain, weight: 0 }],
        ];
        for (const [message, name, instance] of bad) {
          const error: unknown = await discovery.register(ctx, name, instance).then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
          assert.ok(error instanceof ServiceError, `${message} was not refused`);
          assert.equal(error.code, "invalid_argument");
          assert.match(error.message, message);
        }
        assert.deepEqual(await lookUp(discovery), []);
      }),
    },
    {
      name: "registers nothing in a context that is done",
      run: withBed(async (discovery) => {
        const done = withCancel(ctx);
        done.cancel();
        await assert.rejects(discovery.register(done, service, plain), { code: "canceled" });
        assert.deepEqual(await lookUp(discovery), []);
      }),
    },
    {
      name: "holds what it was given, not the object it was given in",
      run: withBed(async (discovery) => {
        const mutable = { ...plain, metadata: { a: "1" } };
        const registration = await discovery.register(ctx, service, mutable);
        mutable.metadata.a = "2";
        mutable.address = "http://127.0.0.1:1";
        assert.deepEqual(await lookUp(discovery), [{ ...plain, metadata: { a: "1" } }]);
        await registration.deregister(ctx);
      }),
    },
  ];
}

/** The first snapshot of a new watch. */
async function lookUp(discovery: Discovery, name = service): Promise<readonly Instance[]> {
  const seen = new SnapshotRecorder();
  const watch = discovery.watch(name, seen);
  await until(`a first snapshot of ${name}`, () => seen.snapshots.length > 0);
  watch.stop();
  return seen.snapshots[0]!;
}
