import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../../clock/system-clock.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Instance } from "../../endpoint/instance.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { instancerContract } from "../../testing/discovery-instancer-contract.ts";
import { SnapshotRecorder } from "../../testing/discovery-recorder.ts";
import { type DnsOptions, dns } from "./dns.ts";
import { FakeResolver, srv } from "./test-fixtures/fake-resolver.ts";

const service = "calc.v1.Calculator";
/** The middle: a tenth of jitter becomes a twentieth. */
const half = { next: () => 0.5 };
const broken = new ServiceError("unavailable", "SERVFAIL");

async function makeBed(initial: Readonly<Record<string, readonly Instance[]>>) {
  const resolver = new FakeResolver();
  const set = async (name: string, instances: readonly Instance[]): Promise<void> => {
    const records = instances.map(({ id, address }, i) => {
      const { hostname, port } = new URL(address);
      resolver.a.set(`${id}.test`, { records: [hostname] });
      return srv(`1 ${i} ${port} ${id}.test`);
    });
    // Weights that a change of order would change are none of the suite's business.
    resolver.srv.set(`_http._tcp.${name.toLowerCase()}.test`, { records: records.map((r) => ({ ...r, weight: 0 })) });
  };
  for (const [name, instances] of Object.entries(initial)) await set(name, instances);
  const instancer = dns({ name: "_http._tcp.{service}.test", resolver, refreshMs: 20, clock: systemClock });
  return { instancer, set, async close() {} };
}

for (const { name, run } of instancerContract(makeBed)) test(`dns: ${name}`, run);

function setUp(options: Partial<DnsOptions> = {}) {
  const clock = new VirtualClock();
  const resolver = new FakeResolver();
  const instancer = dns({ name: "calc.test:8080", resolver, clock, random: half, jitter: 0, ...options });
  const seen = new SnapshotRecorder();
  return { clock, resolver, instancer, seen, settled: () => clock.advance(0) };
}

/** What an SRV question with these records gives, as `address weight`. */
async function srvSnapshot(
  records: readonly string[],
  hosts: Readonly<Record<string, readonly string[] | Error>>,
  options: Partial<DnsOptions> = {},
) {
  const bed = setUp({ name: "_http._tcp.calc.test", ...options });
  bed.resolver.srv.set("_http._tcp.calc.test", { records: records.map(srv) });
  for (const [name, found] of Object.entries(hosts)) {
    bed.resolver.a.set(name, found instanceof Error ? found : { records: found });
  }
  const watch = bed.instancer.watch(service, bed.seen);
  await bed.settled();
  const shown = bed.seen.last?.map(({ address, weight }) => `${address} ${weight}`);
  return { ...bed, watch, shown };
}

describe("addresses", () => {
  test("each is an instance, whose id is the address", async () => {
    const { resolver, instancer, seen, settled } = setUp();
    resolver.a.set("calc.test", { records: ["10.0.0.2", "10.0.0.1", "10.0.0.2"], ttlMs: 5000 });
    const watch = instancer.watch(service, seen);
    await settled();
    watch.stop();
    assert.deepEqual(seen.told, [
      [
        { id: "http://10.0.0.1:8080", address: "http://10.0.0.1:8080" },
        { id: "http://10.0.0.2:8080", address: "http://10.0.0.2:8080" },
      ],
    ]);
  });

  for (const { family, has, asked, addresses } of [
    { family: "prefer-ipv4", has: [4, 6], asked: ["A"], addresses: ["http://10.0.0.1"] },
    { family: "prefer-ipv4", has: [6], asked: ["A", "AAAA"], addresses: ["http://[fd00::1]"] },
    { family: "prefer-ipv6", has: [4, 6], asked: ["AAAA"], addresses: ["http://[fd00::1]"] },
    { family: "prefer-ipv6", has: [4], asked: ["AAAA", "A"], addresses: ["http://10.0.0.1"] },
    { family: "ipv4", has: [6], asked: ["A"], addresses: [] },
    { family: "ipv6", has: [4], asked: ["AAAA"], addresses: [] },
    { family: "both", has: [4, 6], asked: ["A", "AAAA"], addresses: ["http://10.0.0.1", "http://[fd00::1]"] },
  ] as const) {
    test(`family ${family} of a host with IPv${has.join(" and IPv")}`, async () => {
      const { resolver, instancer, seen, settled } = setUp({ name: "calc.test", family });
      if (has.some((version) => version === 4)) resolver.a.set("calc.test", { records: ["10.0.0.1"] });
      if (has.some((version) => version === 6)) resolver.aaaa.set("calc.test", { records: ["fd00::1"] });
      const watch = instancer.watch(service, seen);
      await settled();
      watch.stop();
      assert.deepEqual(seen.addresses, addresses);
      assert.deepEqual(
        resolver.asked,
        asked.map((type) => `${type} calc.test`),
      );
    });
  }

  test("a failure of the preferred family does not move the traffic to the other", async () => {
    const { resolver, instancer, seen, settled } = setUp();
    resolver.a.set("calc.test", broken);
    resolver.aaaa.set("calc.test", { records: ["fd00::1"] });
    const watch = instancer.watch(service, seen);
    await settled();
    watch.stop();
    assert.deepEqual(seen.told, [broken]);
  });

  test("IP addresses and localhost are not asked for", async () => {
    for (const [name, address] of [
      ["10.0.0.1:80", "http://10.0.0.1:80"],
      ["[::1]:80", "http://[::1]:80"],
      ["::1", "http://[::1]"],
      ["localhost:8080", "http://127.0.0.1:8080"],
      ["a.LOCALHOST.", "http://127.0.0.1"],
    ] as const) {
      const { resolver, instancer, seen, settled } = setUp({ name });
      const watch = instancer.watch(service, seen);
      await settled();
      watch.stop();
      assert.deepEqual(seen.addresses, [address]);
      assert.deepEqual(resolver.asked, []);
    }
  });
});

describe("SRV", () => {
  test("the lowest priority counts, with its weights, ports and where it came from", async () => {
    const { seen, shown, watch } = await srvSnapshot(
      ["10 20 8081 B.test.", "10 60 8082 a.test", "20 100 8083 c.test"],
      { "a.test": ["10.0.0.1"], "b.test": ["10.0.0.2"], "c.test": ["10.0.0.3"] },
    );
    watch.stop();
    assert.deepEqual(shown, ["http://10.0.0.1:8082 60", "http://10.0.0.2:8081 20"]);
    assert.deepEqual(seen.last?.[1]?.metadata, { "dns.target": "b.test", "dns.priority": "10" });
  });

  test("the next priority counts when no target of the lowest exists, and that is told", async () => {
    const { seen, shown, watch } = await srvSnapshot(["1 1 80 gone.test", "2 1 80 b.test", "3 1 80 c.test"], {
      "b.test": ["10.0.0.2"],
      "c.test": ["10.0.0.3"],
    });
    watch.stop();
    assert.deepEqual(shown, ["http://10.0.0.2:80 1"]);
    assert.match(String(seen.errors[0]), /_http\._tcp\.calc\.test \(SRV\): the target gone\.test has no address/);
  });

  test("a lowest priority that cannot be asked for is an error, not the next priority", async () => {
    const { seen, watch } = await srvSnapshot(["1 1 80 a.test", "2 1 80 b.test"], {
      "a.test": broken,
      "b.test": ["10.0.0.2"],
    });
    watch.stop();
    assert.deepEqual(seen.told, [broken]);
  });

  test("weights: 0 beside others is a very small chance, all 0 are even, a host's addresses share its weight", async () => {
    const hosts = { "a.test": ["10.0.0.1", "10.0.0.2"], "b.test": ["10.0.0.3"] };
    const some = await srvSnapshot(["1 10 80 a.test", "1 0 80 b.test"], hosts);
    some.watch.stop();
    assert.deepEqual(some.shown, ["http://10.0.0.1:80 5", "http://10.0.0.2:80 5", "http://10.0.0.3:80 0.01"]);
    const none = await srvSnapshot(["1 0 80 a.test", "1 0 80 b.test"], hosts);
    none.watch.stop();
    assert.deepEqual(none.shown, [
      "http://10.0.0.1:80 undefined",
      "http://10.0.0.2:80 undefined",
      "http://10.0.0.3:80 undefined",
    ]);
  });

  test("records that lead to one address are one instance with the sum of their weights", async () => {
    const hosts = { "a.test": ["10.0.0.1"], "b.test": ["10.0.0.1"] };
    const { seen, shown, watch } = await srvSnapshot(["1 10 80 b.test", "1 5 80 a.test"], hosts);
    watch.stop();
    assert.deepEqual(shown, ["http://10.0.0.1:80 15"]);
    assert.equal(seen.last?.[0]?.metadata?.["dns.target"], "a.test");
  });

  test("a target of . says the service is not there; port 0 and what is no name are left out and told", async () => {
    const gone = await srvSnapshot(["0 0 0 ."], {});
    gone.watch.stop();
    assert.deepEqual(gone.seen.told, [[]]);
    const odd = await srvSnapshot(["1 1 0 a.test", "1 1 80 a/b.test", "1 1 80 b.test"], { "b.test": ["10.0.0.2"] });
    odd.watch.stop();
    assert.deepEqual(odd.shown, ["http://10.0.0.2:80 1"]);
    assert.match(String(odd.seen.errors[0]), /the target a\.test has port 0 \(and 1 more\)/);
  });

  test("host names stay in the addresses where they are not to be resolved, as with https", async () => {
    const { shown, resolver, watch } = await srvSnapshot(["1 1 443 a.test"], {}, { scheme: "https" });
    watch.stop();
    assert.deepEqual(shown, ["https://a.test:443 1"]);
    assert.deepEqual(resolver.asked, ["SRV _http._tcp.calc.test"]);
  });

  test("the last addresses of a target are used while it cannot be asked for", async () => {
    const hosts = { "a.test": ["10.0.0.1"], "b.test": ["10.0.0.2"] };
    const bed = await srvSnapshot(["1 1 80 a.test", "1 1 80 b.test"], hosts);
    bed.resolver.a.set("a.test", broken);
    bed.resolver.a.set("b.test", { records: ["10.0.0.9"] });
    await bed.clock.advance(10_000);
    assert.deepEqual(bed.seen.addresses, ["http://10.0.0.1:80", "http://10.0.0.9:80"]);
    assert.match(String(bed.seen.errors[0]), /SERVFAIL; its last addresses are used/);
    const asked = bed.resolver.asked.length;
    await bed.clock.advance(1000);
    assert.ok(bed.resolver.asked.length > asked, "asks again soon");
    assert.equal(bed.seen.errors.length, 1, "told once");
    bed.watch.stop();
  });
});

describe("refresh", () => {
  for (const { ttlMs, waitMs, title } of [
    { ttlMs: 5000, waitMs: 5000, title: "the TTL" },
    { ttlMs: 0, waitMs: 1000, title: "minRefreshMs at least" },
    { ttlMs: 86_400_000, waitMs: 300_000, title: "maxRefreshMs at most" },
    { ttlMs: undefined, waitMs: 10_000, title: "refreshMs without a TTL" },
  ]) {
    test(`${title}: ${waitMs} ms`, async () => {
      const { clock, resolver, instancer, seen } = setUp();
      resolver.a.set("calc.test", { records: ["10.0.0.1"], ...(ttlMs === undefined ? {} : { ttlMs }) });
      const watch = instancer.watch(service, seen);
      await clock.advance(waitMs - 1);
      assert.equal(resolver.asked.length, 1);
      await clock.advance(1);
      assert.equal(resolver.asked.length, 2);
      watch.stop();
      assert.equal(clock.pending, 0);
    });
  }

  test("of SRV and its targets the shortest counts", async () => {
    const { clock, resolver, instancer, seen } = setUp({ name: "_http._tcp.calc.test" });
    resolver.srv.set("_http._tcp.calc.test", { records: [srv("1 1 80 a.test"), srv("1 1 80 b.test")], ttlMs: 30_000 });
    resolver.a.set("a.test", { records: ["10.0.0.1"], ttlMs: 20_000 });
    resolver.a.set("b.test", { records: ["10.0.0.2"], ttlMs: 4000 });
    const watch = instancer.watch(service, seen);
    await clock.advance(3999);
    assert.equal(resolver.asked.length, 3);
    await clock.advance(1);
    assert.equal(resolver.asked.length, 6);
    watch.stop();
  });

  test("comes later than it might by up to the jitter, never sooner", async () => {
    const { clock, resolver, instancer, seen } = setUp({ jitter: 0.1 });
    resolver.a.set("calc.test", { records: ["10.0.0.1"], ttlMs: 10_000 });
    const watch = instancer.watch(service, seen);
    await clock.advance(10_499);
    assert.equal(resolver.asked.length, 1);
    await clock.advance(1);
    assert.equal(resolver.asked.length, 2);
    watch.stop();
  });

  test("what does not exist any more is the empty snapshot, and comes back", async () => {
    const { clock, resolver, instancer, seen } = setUp();
    resolver.a.set("calc.test", { records: ["10.0.0.1"], ttlMs: 5000 });
    const watch = instancer.watch(service, seen);
    await clock.advance(0);
    resolver.a.delete("calc.test");
    await clock.advance(5000);
    assert.deepEqual(seen.last, []);
    resolver.a.set("calc.test", { records: ["10.0.0.1"] });
    await clock.advance(10_000);
    watch.stop();
    assert.deepEqual(
      seen.snapshots.map((snapshot) => snapshot.length),
      [1, 0, 1],
    );
    assert.deepEqual(seen.errors, []);
  });

  test("a failure keeps the snapshot, is told once, and is asked about again with growing pauses", async () => {
    const { clock, resolver, instancer, seen } = setUp();
    resolver.a.set("calc.test", { records: ["10.0.0.1"], ttlMs: 5000 });
    const watch = instancer.watch(service, seen);
    await clock.advance(0);
    resolver.a.set("calc.test", broken);
    await clock.advance(5000);
    assert.deepEqual(seen.told.slice(1), [broken]);
    // 0.75 of 1, 2, 4, 8, 10, 10 s.
    const times: number[] = [];
    for (let asked = resolver.asked.length, start = clock.now(); times.length < 6; ) {
      await clock.advance(250);
      if (resolver.asked.length === asked) continue;
      asked = resolver.asked.length;
      times.push(clock.now() - start);
      start = clock.now();
    }
    assert.deepEqual(times, [750, 1500, 3000, 6000, 7500, 7500]);
    const late = new SnapshotRecorder();
    const other = instancer.watch(service, late);
    await clock.advance(0);
    assert.deepEqual(late.told, [seen.told[0], broken], "who comes late hears of both");
    resolver.a.set("calc.test", { records: ["10.0.0.1"], ttlMs: 5000 });
    await clock.advance(7500);
    assert.equal(seen.told.length, 3);
    assert.equal(seen.told[2], seen.told[0], "the very same snapshot ends the spell");
    for (const each of [watch, other]) each.stop();
  });

  test("a lookup that hangs is given up, whether or not the resolver heeds its signal", async () => {
    const { clock, resolver, instancer, seen } = setUp({ timeoutMs: 3000 });
    resolver.a.set("calc.test", new Promise<never>(() => {}));
    const watch = instancer.watch(service, seen);
    await clock.advance(2999);
    assert.deepEqual([seen.told, resolver.aborted], [[], 0]);
    await clock.advance(1);
    assert.match(String(seen.errors[0]), /calc\.test: no answer within 3000 ms/);
    assert.equal(resolver.aborted, 1);
    resolver.a.set("calc.test", { records: ["10.0.0.1"] });
    await clock.advance(1000);
    assert.deepEqual(seen.addresses, ["http://10.0.0.1:8080"]);
    watch.stop();
    assert.equal(clock.pending, 0);
  });
});

describe("watches", () => {
  test("of one name share the lookups, whatever the service; the last one ends them", async () => {
    const { clock, resolver, instancer } = setUp();
    resolver.a.set("calc.test", { records: ["10.0.0.1"], ttlMs: 5000 });
    const watches = ["a.A", "b.B", "c.C"].flatMap((name) =>
      [1, 2].map(() => instancer.watch(name, new SnapshotRecorder())),
    );
    await clock.advance(5000);
    assert.equal(resolver.asked.length, 2);
    for (const watch of watches.slice(1)) watch.stop();
    await clock.advance(5000);
    assert.equal(resolver.asked.length, 3);
    watches[0]!.stop();
    assert.equal(clock.pending, 0);
    await clock.advance(60_000);
    assert.equal(resolver.asked.length, 3);
  });

  test("stop gives up the lookup under way, and tells nothing of it", async () => {
    const { clock, resolver, instancer, seen } = setUp();
    resolver.a.set("calc.test", new Promise<never>(() => {}));
    const watch = instancer.watch(service, seen);
    await clock.advance(1);
    watch.stop();
    assert.equal(clock.pending, 0);
    await clock.advance(60_000);
    assert.deepEqual([seen.told, resolver.aborted], [[], 1]);
  });

  test("an observer that stops within what it is told ends the lookups", async () => {
    const { clock, resolver, instancer } = setUp();
    resolver.a.set("calc.test", { records: ["10.0.0.1"] });
    const watch = instancer.watch(service, new SnapshotRecorder(() => watch.stop()));
    await clock.advance(60_000);
    assert.equal(resolver.asked.length, 1);
    assert.equal(clock.pending, 0);
  });

  test("more instances than allowed are cut off, the same ones each time, and told", async () => {
    const { clock, resolver, instancer, seen } = setUp({ maxInstances: 2 });
    resolver.a.set("calc.test", { records: ["10.0.0.3", "10.0.0.1", "10.0.0.2"], ttlMs: 1000 });
    const watch = instancer.watch(service, seen);
    await clock.advance(0);
    resolver.a.set("calc.test", { records: ["10.0.0.2", "10.0.0.3", "10.0.0.1"], ttlMs: 1000 });
    await clock.advance(1000);
    watch.stop();
    assert.deepEqual(seen.addresses, ["http://10.0.0.1:8080", "http://10.0.0.2:8080"]);
    assert.equal(seen.told.length, 2);
    assert.match(String(seen.errors[0]), /more than 2 instances and the rest is ignored: raise maxInstances/);
  });

  test("a target too many is not even asked for", async () => {
    const hosts = { "a.test": ["10.0.0.1"], "b.test": ["10.0.0.2"] };
    const bed = await srvSnapshot(["1 1 80 b.test", "1 1 80 a.test"], hosts, { maxInstances: 1 });
    bed.watch.stop();
    assert.deepEqual(bed.shown, ["http://10.0.0.1:80 1"]);
    assert.deepEqual(bed.resolver.asked, ["SRV _http._tcp.calc.test", "A a.test"]);
    assert.match(String(bed.seen.errors[0]), /more than 1 instances/);
  });
});

describe("names", () => {
  const asked = async (name: DnsOptions["name"], of: string, options: Partial<DnsOptions> = {}) => {
    const { resolver, instancer, seen, settled } = setUp({ name, ...options });
    instancer.watch(of, seen);
    await settled();
    return { asked: resolver.asked[0], seen };
  };

  test("come from a name for all, a name for each, or a function", async () => {
    assert.equal((await asked("all.test", service)).asked, "A all.test");
    assert.equal((await asked("{service}.test", service)).asked, "A calc.v1.calculator.test");
    assert.equal((await asked({ [service]: "Calc.Test." }, service)).asked, "A calc.test");
    assert.equal((await asked((of) => `${of}.f.test`, "s")).asked, "A s.f.test");
    assert.equal((await asked("_http._tcp.calc.test", service)).asked, "SRV _http._tcp.calc.test");
    assert.equal((await asked("calc.test", service, { type: "srv" })).asked, "SRV calc.test");
    assert.equal((await asked("_calc.test", service, { type: "address" })).asked, "A _calc.test");
  });

  test("a service without a name has no instances", async () => {
    for (const name of [{ other: "a.test" }, () => undefined]) {
      const { asked: question, seen } = await asked(name, "toString");
      assert.equal(question, undefined);
      assert.deepEqual(seen.told, [[]]);
    }
  });

  test("a service that gives no legal name is refused", () => {
    const { instancer, seen } = setUp({ name: "{service}.test" });
    for (const bad of ["a b", "a/b", "ä", "x".repeat(64), "a..b", ".a", "-a"]) {
      assert.throws(() => instancer.watch(bad, seen), { name: "ServiceError", code: "invalid_argument" }, bad);
    }
    assert.throws(() => instancer.watch("", seen), /service name must be a string/);
    const long = dns({ name: () => `${"a.".repeat(130)}b` });
    assert.throws(() => long.watch("s", seen), /must be a DNS name/);
    assert.throws(() => dns({ name: (() => 5) as never }).watch("s", seen), /the name of s is no string/);
  });
});

test("options that are not legal are refused by name", () => {
  const refused = (options: Partial<DnsOptions>, message: RegExp) =>
    assert.throws(() => dns({ name: "calc.test", ...options }), message, JSON.stringify(options));
  refused({ name: "" }, /TypeError: dns: name must be/);
  refused({ name: 5 as never }, /dns: name must be/);
  refused({ name: "a b" }, /TypeError: dns: .*"a b": it must be a DNS name/);
  refused({ name: { calc: "a:70000" } }, /"calc" has the name "a:70000": its port must be from 1 to 65535/);
  refused({ name: "_http._tcp.a:80" }, /SRV records have their own ports/);
  refused({ name: "10.0.0.1", type: "srv" }, /not to an IP address/);
  refused({ type: "mx" as never }, /type must be/);
  refused({ scheme: "http://" }, /scheme must be one like http or https, got "http:\/\/"/);
  refused({ port: 0 }, /port must be a whole number from 1 to 65535, got 0/);
  refused({ family: "ipv5" as never }, /family must be/);
  refused({ servers: [] }, /servers must not be empty/);
  refused({ servers: ["ns.example.com"] }, /servers must be IP addresses.*got \["ns.example.com"\]/);
  refused({ refreshMs: 0 }, /RangeError: dns: refreshMs must be from 10 to 3600000, got 0/);
  refused(
    { minRefreshMs: 20_000 },
    /refreshMs must lie between minRefreshMs and maxRefreshMs, got 20000, 10000 and 300000/,
  );
  refused({ maxRefreshMs: 5000 }, /must lie between/);
  refused({ jitter: 2 }, /jitter must be from 0 to 1/);
  refused({ timeoutMs: NaN }, /timeoutMs must be/);
  refused({ maxInstances: 0 }, /maxInstances must be/);
});
