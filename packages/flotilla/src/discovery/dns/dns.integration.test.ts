import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePort, skipWithout } from "../../../../../scripts/servers.ts";
import type { Instance } from "../../endpoint/instance.ts";
import { instancerContract } from "../../testing/discovery-instancer-contract.ts";
import { SnapshotRecorder, until } from "../../testing/discovery-recorder.ts";
import { type DnsOptions, dns } from "./dns.ts";
import { Dnsmasq, type Zone } from "./test-fixtures/dnsmasq.ts";

const skip = await skipWithout("dnsmasq");
const local = ["local=/test/"];

/** A server, and a watch of it that looks every 20 ms where no TTL says otherwise. */
async function setUp(t: TestContext, zone: Zone, options: Partial<DnsOptions> = {}) {
  const server = await Dnsmasq.start({ ...zone, config: [...local, ...(zone.config ?? [])] });
  t.after(() => server.stop());
  const seen = new SnapshotRecorder();
  const instancer = dns({ name: "calc.test:8080", servers: [server.address], refreshMs: 20, jitter: 0, ...options });
  const watch = instancer.watch("calc", seen);
  t.after(() => watch.stop());
  return { server, seen, watch };
}

const shows = (seen: SnapshotRecorder, ...addresses: string[]): Promise<void> =>
  until(`the snapshot [${addresses.join()}]`, () => seen.addresses?.join() === addresses.sort().join());

/** A port where nobody answers; `heard` counts what was asked. */
async function silentServer(t: TestContext) {
  const socket = createSocket("udp4");
  const silent = { address: "", heard: 0 };
  socket.on("message", () => silent.heard++);
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  t.after(() => socket.close());
  silent.address = `127.0.0.1:${socket.address().port}`;
  return silent;
}

/** A forwarder whose questions go to another server after each change: what is there is never not answered. */
async function makeBed(initial: Readonly<Record<string, readonly Instance[]>>) {
  const front = await Dnsmasq.start();
  const servers = [front];
  const services = new Map(Object.entries(initial));
  const publish = async (): Promise<void> => {
    const config = [...local];
    const hosts: Record<string, string[]> = {};
    for (const [service, instances] of services) {
      for (const { id, address } of instances) {
        const { hostname, port } = new URL(address);
        config.push(`srv-host=_http._tcp.${service},${id}.test,${port},1,0`.replace(service, `${service}.test`));
        hosts[`${id}.test`] = [hostname];
      }
    }
    const back = await Dnsmasq.start({ config, hosts });
    servers.push(back);
    await front.forwardTo(back);
  };
  await publish();
  const options = { servers: [front.address], refreshMs: 20, jitter: 0 };
  // The forwarder takes a moment to read where to forward to.
  const probe = new SnapshotRecorder();
  const watch = dns({ ...options, name: "_http._tcp.{service}.test" }).watch(Object.keys(initial)[0]!, probe);
  await until("the first records are forwarded", () => (probe.last?.length ?? 0) > 0);
  watch.stop();
  return {
    instancer: dns({ ...options, name: "_http._tcp.{service}.test" }),
    async set(service: string, instances: readonly Instance[]) {
      services.set(service, instances);
      await publish();
    },
    async close() {
      for (const server of servers) await server.stop();
    },
  };
}

describe("dns with dnsmasq", { skip }, () => {
  for (const { name, run } of instancerContract(makeBed)) test(name, run);

  test("SRV: the lowest priority with its weights; other records are seen after a restart of the server", async (t) => {
    const hosts = { "a.test": ["127.0.0.2"], "b.test": ["127.0.0.3"], "c.test": ["127.0.0.4"] };
    const record = (rest: string) => `srv-host=_http._tcp.calc.test,${rest}`;
    const config = [record("a.test,8081,10,60"), record("b.test,8082,10,20"), record("c.test,8083,20,100")];
    const { server, seen } = await setUp(t, { hosts, config }, { name: "_http._tcp.calc.test" });
    await shows(seen, "http://127.0.0.2:8081", "http://127.0.0.3:8082");
    assert.deepEqual(
      seen.last?.map(({ weight, metadata }) => [weight, metadata?.["dns.target"], metadata?.["dns.priority"]]),
      [
        [60, "a.test", "10"],
        [20, "b.test", "10"],
      ],
    );
    await server.restart({ hosts, config: [...local, config[2]!] });
    await shows(seen, "http://127.0.0.4:8083");
  });

  test("SRV: host names stay where targets are not resolved", async (t) => {
    const config = ["srv-host=_https._tcp.calc.test,A.test,8443,1,1"];
    const { seen } = await setUp(t, { config }, { name: "_https._tcp.calc.test", scheme: "https" });
    await shows(seen, "https://a.test:8443");
  });

  test("A and AAAA, through a CNAME; changes, absence and return", async (t) => {
    const hosts = { "real.test": ["127.0.0.2", "127.0.0.3", "::1"] };
    const { server, seen } = await setUp(t, { hosts, config: ["cname=calc.test,real.test"] }, { family: "both" });
    await shows(seen, "http://127.0.0.2:8080", "http://127.0.0.3:8080", "http://[::1]:8080");
    await server.setHosts({ "real.test": ["127.0.0.3"] });
    await shows(seen, "http://127.0.0.3:8080");
    await server.setHosts({});
    await shows(seen);
    await server.setHosts(hosts);
    await shows(seen, "http://127.0.0.2:8080", "http://127.0.0.3:8080", "http://[::1]:8080");
    assert.deepEqual(seen.errors, []);
  });

  test("asks again when the TTL is over, neither sooner nor much later", async (t) => {
    const hosts = { "calc.test": ["127.0.0.2"] };
    const { server, seen } = await setUp(t, { hosts, config: ["local-ttl=1"] });
    await until("a first question", () => server.asked.length === 1);
    const start = performance.now();
    await server.setHosts({ "calc.test": ["127.0.0.3"] });
    await shows(seen, "http://127.0.0.3:8080");
    const tookMs = performance.now() - start;
    assert.ok(tookMs > 900 && tookMs < 2500, `after ${tookMs} ms`);
    assert.deepEqual(server.asked, ["A calc.test", "A calc.test"]);
  });

  test("a server that is killed is an error, the snapshot stays, and a restart ends it", async (t) => {
    const hosts = { "calc.test": ["127.0.0.2"] };
    const { server, seen } = await setUp(t, { hosts });
    await shows(seen, "http://127.0.0.2:8080");
    await server.stop();
    await until("an error", () => seen.errors.length > 0);
    assert.match(
      String(seen.errors[0]),
      /dns: cannot look up calc\.test \(A\) at 127\.0\.0\.1:\d+: no name server listens there/,
    );
    assert.equal(seen.snapshots.length, 1);
    await server.restart({ hosts: { "calc.test": ["127.0.0.3"] }, config: local });
    await shows(seen, "http://127.0.0.3:8080");
  });

  test("a server that refuses, or fails, is an error too, and no absence", async (t) => {
    const [front, refusing, knowing] = await Promise.all([
      Dnsmasq.start(),
      Dnsmasq.start(),
      Dnsmasq.start({ config: local, hosts: { "calc.test": ["127.0.0.2"] } }),
    ]);
    t.after(() => Promise.all([front, refusing, knowing].map((server) => server.stop())));
    await front.forwardTo(knowing);
    const seen = new SnapshotRecorder();
    const instancer = dns({ name: "calc.test", servers: [front.address], refreshMs: 20, jitter: 0 });
    const watch = instancer.watch("calc", seen);
    t.after(() => watch.stop());
    await shows(seen, "http://127.0.0.2");
    const before = seen.errors.length;
    await front.forwardTo(refusing);
    await until("a failure", () => seen.errors.length > before);
    assert.match(seen.errors.at(-1)!.message, /the name server (refuses|failed).*\((EREFUSED|ESERVFAIL)\)/);
    await front.forwardTo(knowing);
    await until("it is back", () => seen.told.at(-1) === seen.last);
    assert.equal(new Set(seen.snapshots).size, 1, "the one snapshot stood all the time");
  });

  test("a server that is silent is given up in time; a second one is asked within that time", async (t) => {
    const silent = await silentServer(t);
    const { server, watch } = await setUp(t, { hosts: { "calc.test": ["127.0.0.2"] } });
    watch.stop();
    const find = async (servers: string[], timeoutMs: number) => {
      const seen = new SnapshotRecorder();
      const start = performance.now();
      const finding = dns({ name: "calc.test", servers, timeoutMs }).watch("calc", seen);
      await until("it is told something", () => seen.told.length > 0);
      finding.stop();
      return { seen, tookMs: performance.now() - start };
    };
    const nobody = await find([silent.address], 300);
    assert.match(String(nobody.seen.errors[0]), /calc\.test: no answer within 300 ms|no name server answered in time/);
    assert.ok(nobody.tookMs < 1500, `after ${nobody.tookMs} ms`);
    assert.ok(silent.heard > 0);
    const second = await find([silent.address, server.address], 4000);
    assert.deepEqual(second.seen.addresses, ["http://127.0.0.2"]);
    assert.ok(second.tookMs < 3500, `after ${second.tookMs} ms`);
  });

  test("more addresses than UDP can carry", async (t) => {
    const addresses = Array.from({ length: 400 }, (_, i) => `127.1.${i >> 8}.${i & 255}`);
    const { server, seen } = await setUp(t, { hosts: { "calc.test": addresses }, config: ["local-ttl=60"] });
    await until("a snapshot", () => seen.told.length > 0);
    assert.deepEqual(seen.addresses, addresses.map((address) => `http://${address}:8080`).sort());
    assert.deepEqual(seen.errors, []);
    assert.ok(server.asked.length >= 1);
  });

  test("nothing keeps a process alive: not a watch that was stopped, nor one under way, nor one that was left", async (t) => {
    const silent = await silentServer(t);
    const { server, watch } = await setUp(t, { hosts: { "calc.test": ["127.0.0.2"] } });
    watch.stop();
    const script = fileURLToPath(new URL("test-fixtures/watch-and-stop.ts", import.meta.url));
    const run = async (address: string, when: string) => {
      const args = ["--conditions=@flotilla/source", script, address, when];
      // A question that was left alone would be waited for for at least 15 s.
      return (await promisify(execFile)(process.execPath, args, { timeout: 10_000 })).stdout.trim();
    };
    assert.equal(await run(server.address, "told"), "http://127.0.0.2");
    assert.equal(await run(server.address, "leave"), "http://127.0.0.2");
    assert.equal(await run(silent.address, "stop"), "");
    assert.match(await run(`127.0.0.1:${await freePort()}`, "told"), /no name server listens there/);
  });
});
