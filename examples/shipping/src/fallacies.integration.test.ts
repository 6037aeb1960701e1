// The eight fallacies of distributed computing (Deutsch and others, Sun Microsystems, 1994 to 1997), each against the
// whole system in processes of its own, with faults on the very connections between them.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { connect } from "node:net";
import { performance } from "node:perf_hooks";
import { after, before, type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { peakEwma, roundRobin } from "flotilla/balance";
import { background, sleep, withTimeout } from "flotilla/context";
import type { Client, Contract } from "flotilla/contract";
import { type Code, ServiceError } from "flotilla/errors";
import { type HttpClientOptions, httpClient } from "flotilla/http";
import { withHeaders } from "flotilla/metadata";
import { responseCache, singleFlight } from "flotilla/resilience";
import { type ChannelOptions, client } from "flotilla/service";
import { type FaultProxy, faultProxy, type ProxyFault, until } from "flotilla/testing";
import { skipWithout } from "../../../scripts/servers.ts";
import { Shipping } from "./gateway/contract.ts";
import { dayMs, toIso } from "./kernel/time.ts";
import { Routing } from "./routing/contract.ts";
import { makeCertificate } from "./test-fixtures/certificate.ts";
import { NextRouting } from "./test-fixtures/next-routing.ts";
import { Probe } from "./test-fixtures/probe.ts";
import { failuresOf, type Other, type ProxiedSystem, startProxiedSystem } from "./test-fixtures/world.ts";

const ctx = background();
/** What a busy machine may add to a time, milliseconds: a hang takes ten seconds or more. */
const SLACK_MS = 1500;

let system: ProxiedSystem;
/** A process that hangs and floods on demand, and is in a hurry with headers. */
let probed: Other;
before(async () => {
  system = await startProxiedSystem();
  probed = await system.startOther("probed-routing", { headersTimeoutMs: 500 });
});
after(() => system.stop());

/** The proxies that stand before routing, without faults. */
async function proxies(): Promise<readonly FaultProxy[]> {
  const all = system.mirror.all.map(({ proxy }) => proxy);
  await Promise.all(all.map((proxy) => proxy.heal()));
  assert.equal(all.length, 3);
  return all;
}

/** A client of its own for a test, which ends with it. */
function dial<C extends Contract>(
  t: TestContext,
  contract: C,
  at: readonly string[],
  options: Partial<ChannelOptions> = {},
): Client<C> {
  const opened = client(contract, { discover: at, ...options });
  t.after(() => opened[Symbol.asyncDispose]());
  return opened;
}

/** A proxy of a test, which ends with it. */
async function proxied(t: TestContext, to: string, host?: string): Promise<FaultProxy> {
  const proxy = await faultProxy({ to, ...(host !== undefined && { host }) });
  t.after(() => proxy.close());
  return proxy;
}

/** Another routing service, which ends with the test. */
async function other(t: TestContext, ...args: Parameters<ProxiedSystem["startOther"]>): Promise<Other> {
  const started = await system.startOther(...args);
  t.after(() => started.stop());
  return started;
}

interface Outcome {
  readonly code: Code | "ok";
  readonly message: string;
  readonly ms: number;
}

async function outcomeOf(call: () => Promise<unknown>): Promise<Outcome> {
  const began = performance.now();
  const [code, message] = await call().then(
    () => ["ok", ""] as const,
    (error: unknown) => {
      const { code, message } = ServiceError.from(error);
      return [code, message] as const;
    },
  );
  return { code, message, ms: performance.now() - began };
}

/** So many calls, a few at a time; their outcomes in the order in which they began. */
async function traffic(count: number, atATime: number, call: (n: number) => Promise<unknown>): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const n = next++;
      outcomes[n] = await outcomeOf(() => call(n));
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return outcomes;
}

const failed = (outcomes: readonly Outcome[]): Outcome[] => outcomes.filter(({ code }) => code !== "ok");

function quantile(outcomes: readonly Outcome[], share: number): number {
  const sorted = outcomes.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * share) - 1]!;
}

const order = () => ({ origin: "HKHKG", destination: "NLRTM", deadline: toIso(Date.now() + 120 * dayMs) });

test("1: the network is reliable", async (t) => {
  // It is not: for a caller every call may end without an answer, broken or, worse, silent. What may be asked twice is
  // asked another; what is silent has a deadline. Nobody waits for ever, and what fails says why.
  const breaking: Record<string, ProxyFault> = {
    "connections are reset": { reset: true },
    "answers break off with a reset": { direction: "toClient", reset: true, afterBytes: 100 },
    "answers break off": { direction: "toClient", abort: true, afterBytes: 100 },
    "requests break off": { direction: "toServer", abort: true, afterBytes: 100 },
    "connections are refused": { refuse: true },
  };
  for (const [name, fault] of Object.entries(breaking)) {
    await t.test(`${name} at one of three replicas: no call fails`, async (t) => {
      const all = await proxies();
      const routing = dial(
        t,
        Routing,
        all.map(({ address }) => address),
      );
      const broken = all[0]!.inject(fault);
      const { accepted } = all[0]!.counts;
      assert.deepEqual(failed(await traffic(60, 4, () => routing.ports(ctx, { limit: 5 }))), []);
      if (fault.refuse) assert.equal(all[0]!.counts.accepted, accepted);
      else assert.ok(broken.hits > 0, "the fault has struck");
      await broken.heal();
    });
  }

  const silent: Record<string, ProxyFault> = {
    "a network that swallows all": { blackhole: true },
    "a peer that dies without a word": { direction: "toClient", blackhole: true },
    "a peer that dies within its answer": { direction: "toClient", blackhole: true, afterBytes: 100 },
  };
  for (const [name, fault] of Object.entries(silent)) {
    await t.test(`${name}, at one of three replicas: with a time for each attempt no call fails`, async (t) => {
      const all = await proxies();
      const routing = dial(
        t,
        Routing,
        all.map(({ address }) => address),
        { retry: { perTryTimeoutMs: 300 } },
      );
      const hole = all[1]!.inject(fault);
      const outcomes = await traffic(60, 4, () => routing.ports(withTimeout(ctx, 5000), { limit: 5 }));
      assert.deepEqual(failed(outcomes), []);
      assert.ok(hole.hits > 0 && quantile(outcomes, 1) >= 250, "the fault has struck");
      await hole.heal();
    });

    await t.test(`${name}: without, a call ends at its deadline, and few do`, async (t) => {
      const all = await proxies();
      const routing = dial(
        t,
        Routing,
        all.map(({ address }) => address),
      );
      const hole = all[1]!.inject(fault);
      const outcomes = await traffic(80, 4, () => routing.ports(withTimeout(ctx, 800), { limit: 5 }));
      for (const { code, ms } of failed(outcomes)) {
        assert.equal(code, "deadline_exceeded");
        assert.ok(ms <= 800 + SLACK_MS, `ended after ${ms} ms`);
      }
      const lost = failed(outcomes).length;
      t.diagnostic(`${lost} of 80 calls lost`);
      assert.ok(lost >= 1 && lost <= 12, `${lost} of 80 calls lost`);
      assert.deepEqual(failed(outcomes.slice(-40)), [], "the replica is out of the balance by then");
      await hole.heal();
    });
  }

  await t.test("customers, who come at the gateway, do not notice that answers of routing break off", async () => {
    const all = await proxies();
    const broken = all[2]!.inject({ direction: "toClient", reset: true, afterBytes: 5000 });
    // Which replica they come to is chance.
    for (let round = 0; round < 10 && broken.hits === 0; round++) {
      assert.deepEqual(failuresOf(await system.customers(3, 2)), []);
    }
    assert.ok(broken.hits > 0, "the fault has struck");
    await broken.heal();
  });

  await t.test("customers have their answer or a clear error in time when routing is silent altogether", async (t) => {
    const all = await proxies();
    const shipping = dial(t, Shipping, [system.gateway]);
    for (const proxy of all) proxy.inject({ blackhole: true });
    for (const { code, ms, message } of await traffic(6, 6, () =>
      shipping.ports(withTimeout(ctx, 500), { limit: 5 }),
    )) {
      assert.equal(code, "deadline_exceeded", message);
      assert.ok(ms <= 500 + SLACK_MS, `ended after ${ms} ms`);
    }
    await proxies();
    assert.deepEqual(failed(await traffic(6, 2, () => shipping.ports(withTimeout(ctx, 8000), { limit: 5 }))), []);
  });
});

test("2: latency is zero", async (t) => {
  // It is not, and it differs: what is slow is not down, and waiting for it holds up whoever waits for us. A caller
  // says how long the answer is worth waiting for, and gets it from whoever is quick.
  const SLOW_MS = 1000;

  await t.test(
    "one of three replicas is slow: the slowest calls are not, where the balance looks at latency",
    async (t) => {
      const all = await proxies();
      const addresses = all.map(({ address }) => address);
      const slow = all[0]!.inject({ direction: "toClient", latencyMs: SLOW_MS });
      const naive = dial(t, Routing, addresses, { balance: roundRobin(), retry: false, ejection: false });
      const quick = dial(t, Routing, addresses, { balance: peakEwma(), hedge: { delayMs: 60 } });
      const call = (routing: Client<typeof Routing>) => () => routing.ports(ctx, { limit: 5 });
      // Everybody has to learn who is slow.
      await traffic(20, 4, call(quick));
      const outcomes = await traffic(200, 4, call(quick));
      assert.deepEqual(failed(outcomes), []);
      const [ours, theirs] = [quantile(outcomes, 0.99), quantile(await traffic(15, 4, call(naive)), 0.99)];
      t.diagnostic(`p99 ${Math.round(ours)} ms, in turn ${Math.round(theirs)} ms`);
      assert.ok(theirs >= SLOW_MS, `in turn: ${theirs} ms`);
      assert.ok(ours < SLOW_MS / 2, `p99 ${ours} ms`);
      await slow.heal();
    },
  );

  await t.test("a deadline of 100 ms holds whatever the latency, and with it all that was begun ends", async (t) => {
    const { address } = probed;
    const proxy = await proxied(t, address);
    const probe = dial(t, Probe, [proxy.address], { retry: { maxAttempts: 4, perTryTimeoutMs: 80 } });
    const direct = dial(t, Probe, [address]);
    // Open by then: only the answer is late.
    await probe.state(ctx, {});
    proxy.inject({ direction: "toClient", latencyMs: SLOW_MS });
    for (let i = 0; i < 3; i++) {
      const { code, ms } = await outcomeOf(() => probe.hang(withTimeout(ctx, 100), {}));
      assert.equal(code, "deadline_exceeded");
      assert.ok(ms <= 105 + SLACK_MS, `ended after ${ms} ms`);
    }
    let state = await direct.state(ctx, {});
    assert.ok(state.hung >= 3, `${state.hung} handlers were begun`);
    const began = performance.now();
    while (state.cancelled < state.hung) {
      assert.ok(performance.now() - began < SLACK_MS, `${state.hung - state.cancelled} handlers go on`);
      state = await direct.state(ctx, {});
    }
  });
});

test("3: bandwidth is infinite", async (t) => {
  // It is not: who sends more than the other side takes must wait for it, or drown. Answers are packed; streams go at
  // the pace of their reader, and hold no more of the server than that.
  await t.test("large answers are packed for who can unpack them", async (t) => {
    const proxy = await proxied(t, system.gateway);
    const bytesOf = async (encoding: string): Promise<number> => {
      const before = proxy.counts.toClient;
      const response = await fetch(`${proxy.address}/ports?limit=500`, {
        headers: { "accept-encoding": encoding, connection: "close" },
      });
      const { ports } = (await response.json()) as { ports: unknown[] };
      assert.equal(ports.length, 300);
      return proxy.counts.toClient - before;
    };
    const [plain, packed] = [await bytesOf("identity"), await bytesOf("gzip")];
    assert.ok(packed < plain / 3, `${packed} of ${plain} bytes`);
  });

  await t.test("on a thin line what is packed comes in time, and what is not ends at its deadline", async (t) => {
    const [{ address }] = (await proxies()) as [FaultProxy];
    const proxy = await proxied(t, address);
    const plain = dial(t, Routing, [proxy.address], { retry: false });
    const packed = dial(t, Routing, [proxy.address], { retry: false, transport: httpClient({ compress: "gzip" }) });
    await plain.ports(ctx, { limit: 500 });
    // So that the plain answer takes six seconds.
    proxy.inject({ direction: "toClient", bytesPerSecond: proxy.counts.toClient / 6 });
    const late = await outcomeOf(() => plain.ports(withTimeout(ctx, 1000), { limit: 500 }));
    assert.equal(late.code, "deadline_exceeded");
    assert.ok(late.ms <= 1000 + SLACK_MS, `ended after ${late.ms} ms`);
    const { ports } = await packed.ports(withTimeout(ctx, 5000), { limit: 500 });
    assert.equal(ports.length, 300);
  });

  await t.test("readers that are slow, or on thin lines, hold the server back", async (t) => {
    const MIB = 1024 * 1024;
    const BYTES = 64 * 1024;
    const READERS = 4;
    const { address } = probed;
    const proxy = await proxied(t, address);
    proxy.inject({ direction: "toClient", bytesPerSecond: 10 * MIB });
    const direct = dial(t, Probe, [address]);
    for (const http2 of [false, true]) {
      const transport = httpClient({ http2 });
      const before = await direct.state(ctx, {});
      const floods = Array.from({ length: READERS }, () =>
        dial(t, Probe, [proxy.address], { transport }).flood(ctx, { bytes: BYTES })[Symbol.asyncIterator](),
      );
      for (const flood of floods) assert.equal((await flood.next()).value?.n, 0);
      // Nobody reads on: the server comes to rest.
      let made = -1;
      let state = before;
      while (state.made !== made) {
        made = state.made;
        assert.ok((made - before.made) * BYTES < READERS * 32 * MIB, `${made} messages made for nobody`);
        await sleep(ctx, 300);
        state = await direct.state(ctx, {});
      }
      const grown = state.memory - before.memory;
      const sent = Math.round(((made - before.made) * BYTES) / MIB);
      t.diagnostic(
        `HTTP/${http2 ? 2 : 1.1}: ${sent} MiB made for ${READERS} readers, ${Math.round(grown / MIB)} MiB more memory`,
      );
      assert.ok(grown < 150 * MIB, `${Math.round(grown / MIB)} MiB more`);
      // Read on, all is there and in order.
      for (const flood of floods) for (let n = 1; n <= 50; n++) assert.equal((await flood.next()).value?.n, n);
      for (const flood of floods) await flood.return?.();
      const began = performance.now();
      while ((await direct.state(ctx, {})).floods > 0) {
        assert.ok(performance.now() - began < 5000, "floods go on for nobody");
      }
    }
  });
});

test("4: the network is secure", async (t) => {
  // It is not: whatever can be sent is sent, and what is on its way can be changed. A server refuses what it cannot
  // read and goes on; a caller believes only what has come through TLS from whom it trusts.
  const pids = () => system.fleet.states().map((state) => state.pids);
  const before = JSON.stringify(pids());
  const wellFor = async (t: TestContext, address: string): Promise<void> => {
    const { ports } = await dial(t, Routing, [address]).ports(ctx, { query: "rotterdam", limit: 1 });
    assert.equal(ports.length, 1);
  };

  /** What a server says to bytes, until it closes the connection. */
  const said = (address: string, bytes: string | Uint8Array): Promise<string> =>
    new Promise((resolve) => {
      const { hostname, port } = new URL(address);
      const socket = connect(Number(port), hostname);
      let text = "";
      socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
      socket.on("error", () => {});
      socket.on("close", () => resolve(text));
      socket.write(bytes);
    });

  await t.test("garbage is refused, and the gateway goes on", async () => {
    const garbage: Record<string, string | Uint8Array> = {
      "bytes without sense": Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256)),
      "a TLS handshake": Buffer.from("160301007a010000760303", "hex"),
      zeros: Buffer.alloc(1000),
      "a version that there is not": "GET /ports HTTP/9.9\r\nhost: a\r\n\r\n",
      "two lengths": "POST /cargos HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n12345",
      "HTTP/2 that is none": Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.alloc(1000, 0xff)]),
      "headers over the limit": `GET /ports HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(64 * 1024)}\r\n\r\n`,
    };
    for (const [name, bytes] of Object.entries(garbage)) {
      const answer = await said(system.gateway, bytes);
      // HTTP/2 says why in a frame of its own.
      if (!name.startsWith("HTTP/2")) assert.match(answer, /^(?:HTTP\/1\.1 4\d\d |$)/, name);
    }
    const post = (body: string): Promise<Response> =>
      fetch(`${system.gateway}/cargos`, {
        method: "POST",
        headers: { "content-type": "application/json", connection: "close" },
        body,
      });
    const bodies: [string, number][] = [
      [`{"origin":"${"x".repeat(5 * 1024 * 1024)}"}`, 413],
      ["[".repeat(100_000), 400],
      ['{"__proto__":{"origin":"NLRTM"},"constructor":1}', 400],
      ["\u0000", 400],
    ];
    for (const [body, status] of bodies) assert.equal((await post(body)).status, status, body.slice(0, 40));
    assert.deepEqual(failuresOf(await system.customers(2, 1)), []);
    assert.equal(JSON.stringify(pids()), before, "no process has died of it");
  });

  await t.test("who sends headers byte by byte is not waited for, and keeps nobody out", async (t) => {
    const { address } = probed;
    const proxy = await proxied(t, address);
    proxy.inject({ direction: "toServer", bytesPerSecond: 10 });
    const request = `GET /none HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(1000)}\r\n\r\n`;
    const began = performance.now();
    const slow = Promise.all(Array.from({ length: 50 }, () => said(proxy.address, request)));
    const outcomes = await traffic(20, 2, () =>
      dial(t, Routing, [address]).ports(withTimeout(ctx, 2000), { limit: 5 }),
    );
    assert.deepEqual(failed(outcomes), []);
    for (const answer of await slow) assert.match(answer, /^(?:HTTP\/1\.1 408 |$)/);
    assert.ok(performance.now() - began < 10_000, "they would have taken 100 s");
    await wellFor(t, address);
  });

  const skip = await skipWithout("openssl");
  await t.test(
    "with TLS: strangers, clear text, and what was changed on its way are found out",
    { skip },
    async (t) => {
      const { key, cert } = await makeCertificate();
      const { address } = await other(t, "secure-routing", { tls: { key, cert } });
      const transport = httpClient({ tls: { ca: cert } });
      const truth = await dial(t, Routing, [address], { transport }).ports(ctx, { limit: 20 });
      const port = Number(new URL(address).port);

      assert.doesNotMatch(await said(address, "GET /ports HTTP/1.1\r\nhost: a\r\n\r\n"), /^HTTP\/1\.1 2/);
      const clear = dial(t, Routing, [`http://127.0.0.1:${port}`], { retry: false });
      assert.equal((await outcomeOf(() => clear.ports(withTimeout(ctx, 2000), {}))).code, "unavailable");
      const stranger = dial(t, Routing, [address], { retry: false });
      const refused = await outcomeOf(() => stranger.ports(withTimeout(ctx, 2000), {}));
      assert.equal(refused.code, "unavailable");
      assert.match(refused.message, /self[- ]signed certificate/);
      await assert.rejects(
        new Promise((resolve, reject) => {
          const toClear = connectTls(Number(new URL(system.gateway).port), "127.0.0.1", { ca: cert }, () =>
            resolve("it speaks TLS"),
          );
          toClear.on("error", reject);
          toClear.on("close", () => reject(new Error("closed")));
        }),
      );

      // The same forger on a line in clear text, and on one with TLS.
      const forger: ProxyFault = { direction: "toClient", corrupt: 1 };
      const [{ address: replica }] = (await proxies()) as [FaultProxy];
      const forgedClear = await proxied(t, replica);
      forgedClear.inject(forger);
      const deceived = { wrong: 0 };
      const believing = dial(t, Routing, [forgedClear.address], { retry: false, ejection: false });
      await traffic(60, 1, async () => {
        const { ports } = await believing.ports(withTimeout(ctx, 2000), { limit: 20 });
        if (JSON.stringify(ports) !== JSON.stringify(truth.ports)) deceived.wrong++;
      });
      assert.ok(deceived.wrong > 0, "in clear text a changed answer is believed");
      const forged = await proxied(t, address);
      const wary = dial(t, Routing, [forged.address], { transport, retry: false, ejection: false });
      await wary.ports(ctx, { limit: 1 });
      forged.inject({ ...forger, corrupt: 0.3 });
      const outcomes = await traffic(30, 1, async () => {
        assert.deepEqual(await wary.ports(withTimeout(ctx, 2000), { limit: 20 }), truth);
      });
      for (const { code, message } of failed(outcomes)) assert.equal(code, "unavailable", message);
      assert.ok(failed(outcomes).length > 0, "the forger was at work");
      const both = dial(t, Routing, [forged.address, address], { transport });
      const kept = await traffic(30, 2, async () => assert.deepEqual(await both.ports(ctx, { limit: 20 }), truth));
      assert.deepEqual(failed(kept), [], "another instance has the answer");
    },
  );
  assert.equal(JSON.stringify(pids()), before, "no process has died of it");
});

test("5: topology doesn't change", async () => {
  // It does: instances die, leave, come back elsewhere, and move. Who calls keeps no address: the registry has them,
  // and a call that meets one which is gone goes to another.
  await proxies();
  const { mirror, fleet } = system;
  const ids = (): string[] => mirror.all.map(({ instance }) => instance.id);
  const failures: unknown[] = [];
  let requests = 0;
  let going = true;
  const trade = (async () => {
    while (going) {
      const ledger = await system.customers(2, 1);
      failures.push(...failuresOf(ledger));
      requests += ledger.requests;
    }
  })();
  try {
    const before = ids();
    const [killed, moved] = mirror.all.map(({ instance: { id, metadata } }) => ({
      id,
      pid: Number(metadata?.["pid"]),
    }));
    const addressOf = (id: string): string | undefined =>
      mirror.all.find(({ instance }) => instance.id === id)?.proxy.address;
    const guest = await system.startOther("guest-routing", { register: true });
    const old = addressOf(moved!.id);
    await mirror.move(moved!.id);
    assert.notEqual(addressOf(moved!.id), old);
    // One dies without a word, and the fleet starts another in its place, on another port; the guest leaves in order.
    process.kill(killed!.pid, "SIGKILL");
    await guest.stop();
    await until("the dead one is replaced", () => ids().length === 3 && !ids().includes(killed!.id), 30_000);
    await mirror.move(moved!.id);
    assert.equal(ids().filter((id) => before.includes(id)).length, 2);
    assert.equal(fleet.states().find(({ name }) => name === "routing")?.restarts, 1);
    // And the new one is used.
    const { proxy } = mirror.all.find(({ instance }) => !before.includes(instance.id))!;
    await until("calls go to the new one", () => proxy.counts.toClient > 0);
  } finally {
    going = false;
    await trade;
  }
  assert.deepEqual(failures, []);
  assert.ok(requests > 50, `${requests} requests`);
});

test("6: there is one administrator", async (t) => {
  // There are many: versions, limits and rules differ between instances of one service, and each is taken down and set
  // up without asking the others. What a message has more is passed over, what it lacks has a default, and what is not
  // allowed is said once, clearly.
  const all = await proxies();

  await t.test("versions side by side: old and new clients, old and new servers", async (t) => {
    const limits = { limit: 4, timeoutMs: 5000, maxBodyBytes: 10_000, http2: false };
    const { address: next } = await other(t, "next-routing", limits);
    const request = { ...order(), limit: 2 };
    for (const address of [all[0]!.address, next]) {
      const old = await dial(t, Routing, [address]).routes(ctx, request);
      assert.ok(old.kind === "routes" && old.routes.length > 0);
      const fresh = await dial(t, NextRouting, [address]).routes(ctx, { ...request, preference: "cheap" });
      assert.ok(fresh.kind === "routes");
      assert.deepEqual(fresh.routes, old.routes);
      assert.equal(fresh.preference, address === next ? "cheap" : undefined);
      // By hand, as from a version that nobody here knows.
      const response = await fetch(`${address}/${Routing.name}/ports`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-from-the-future": "yes", connection: "close" },
        body: JSON.stringify({ colour: "blue", nested: { deep: [1, null] } }),
      });
      const { ports } = (await response.json()) as { ports: unknown[] };
      assert.deepEqual([response.status, ports.length], [200, 50], "a limit that is missing is 50");
    }
  });

  await t.test("one takes down while another sets up, with limits of its own: no call fails", async (t) => {
    const shipping = dial(t, Shipping, [system.gateway]);
    const outcomes: Outcome[] = [];
    let going = true;
    const calls = (async () => {
      while (going) outcomes.push(...(await traffic(20, 2, () => shipping.ports(ctx, { limit: 20 }))));
    })();
    try {
      const first = await system.startOther("blue-routing", { register: true, limit: 2, timeoutMs: 5000 });
      const [second] = await Promise.all([
        system.startOther("green-routing", { register: true, limit: 50, http2: false, maxBodyBytes: 2000 }),
        first.stop(),
      ]);
      await second.stop();
    } finally {
      going = false;
      await calls;
    }
    assert.deepEqual(failed(outcomes), []);
    assert.ok(outcomes.length > 50, `${outcomes.length} calls`);
  });

  await t.test("one wants a token where the others want none", async (t) => {
    const { address } = await other(t, "strict-routing", { token: "sesame" });
    const asked: string[] = [];
    const routing = dial(t, Routing, [all[0]!.address, address], {
      balance: roundRobin(),
      perInstance: ({ address: at }) => [(next) => (ctx, request) => (asked.push(at), next(ctx, request))],
    });
    const known = withHeaders(ctx, { authorization: "Bearer sesame" });
    assert.deepEqual(failed(await traffic(20, 2, () => routing.ports(known, { limit: 1 }))), []);
    assert.equal(new Set(asked).size, 2, "both have answered");
    asked.length = 0;
    const refused = failed(await traffic(20, 2, () => routing.ports(ctx, { limit: 1 })));
    assert.equal(refused.length, 10);
    for (const { code, message } of refused) {
      assert.deepEqual([code, message], ["unauthenticated", "send the token of this administration"]);
    }
    assert.equal(asked.length, 20, "what is not allowed is not tried again");
  });
});

test("7: transport cost is zero", async (t) => {
  // It is not: each connection costs a handshake and memory at either end, and each byte its way. Connections are used
  // again, and given back when they are not; what is known is not asked again.
  const [{ address }] = (await proxies()) as [FaultProxy];
  const call = (routing: Client<typeof Routing>) => () => routing.ports(ctx, { limit: 100 });

  await t.test("connections are used again, however many calls there are", async (t) => {
    for (const [atATime, http2, most] of [
      // HTTP/1.1 lets a connection rest for a turn of the event loop; who calls again within it gets another.
      [1, false, 2],
      [8, false, 24],
      [8, true, 1],
    ] as const) {
      const proxy = await proxied(t, address);
      const routing = dial(t, Routing, [proxy.address], { transport: httpClient({ http2, idleTimeoutMs: 300 }) });
      assert.deepEqual(failed(await traffic(200, atATime, call(routing))), []);
      const { accepted } = proxy.counts;
      t.diagnostic(`${accepted} connections of HTTP/${http2 ? 2 : 1.1} for 200 calls, ${atATime} at a time`);
      assert.ok(accepted >= 1 && accepted <= most, `${accepted} connections for ${atATime} calls at a time`);
      // At rest nothing is kept, and nothing is sent.
      await until("idle connections are closed", () => proxy.counts.open === 0);
      const { toServer, toClient } = proxy.counts;
      await sleep(ctx, 300);
      assert.deepEqual([proxy.counts.toServer, proxy.counts.toClient], [toServer, toClient]);
    }
  });

  await t.test("the same, asked by many or again, goes over the line once; large answers are packed", async (t) => {
    const bytes = async (options: Partial<ChannelOptions>, calls: number): Promise<number> => {
      const proxy = await proxied(t, address);
      const routing = dial(t, Routing, [proxy.address], options);
      // At once, and once more.
      assert.deepEqual(failed(await traffic(calls, calls, call(routing))), []);
      assert.deepEqual(failed(await traffic(1, 1, call(routing))), []);
      return proxy.counts.toServer + proxy.counts.toClient;
    };
    const two = await bytes({}, 1);
    const many = await bytes({}, 40);
    const packed = await bytes({ transport: httpClient({ compress: "gzip" }) }, 40);
    const flown = await bytes({ use: [singleFlight()] }, 40);
    const cached = await bytes({ use: [responseCache({ ttlMs: 60_000 }), singleFlight()] }, 40);
    t.diagnostic(`41 calls: ${many} bytes, ${packed} packed, ${flown} in single flight, ${cached} with a cache`);
    assert.ok(many > two * 15, `${many} bytes for 41 calls, ${two} for two`);
    assert.ok(packed < many / 2, `${packed} of ${many} bytes`);
    assert.ok(flown < two * 1.1, `${flown} bytes with single flight, ${two} for two calls`);
    assert.ok(cached < two * 0.6, `${cached} bytes with a cache, ${two} for two calls`);
  });
});

test("8: the network is homogeneous", async (t) => {
  // It is not: other protocols, other programs, other sizes of packets, other addresses, other distances. All get the
  // same answer.
  const skip = await skipWithout("curl");
  const all = await proxies();
  const [{ address }] = all as [FaultProxy];
  const url = `${address}/${Routing.name}/ports`;
  const question = { query: "an", limit: 50 };
  const json = JSON.stringify(question);
  const truth = await dial(t, Routing, [address]).ports(ctx, question);
  assert.ok(truth.ports.length > 10);
  const by = (transport: HttpClientOptions, at = address): Promise<unknown> =>
    dial(t, Routing, [at], { transport: httpClient(transport) }).ports(ctx, question);
  const through = async (fault: ProxyFault, http2: boolean): Promise<unknown> => {
    const proxy = await proxied(t, address);
    proxy.inject(fault);
    return by({ http2 }, proxy.address);
  };

  const ways: Record<string, () => Promise<unknown>> = {
    "HTTP/1.1": () => by({}),
    "HTTP/2": () => by({ http2: true }),
    GET: () => by({ get: true }),
    "packed by gzip": () => by({ compress: "gzip" }),
    "packed by brotli, over HTTP/2": () => by({ compress: "br", http2: true }),
    "byte by byte, HTTP/1.1": () => through({ chunkBytes: 1 }, false),
    "byte by byte, HTTP/2": () => through({ chunkBytes: 1 }, true),
    "packets of 536 bytes": () => through({ chunkBytes: 536 }, false),
    "a line of 100 kB a second, far away": () => through({ bytesPerSecond: 100_000, latencyMs: 50 }, true),
    "a line that loses some of what it carries": () => through({ loss: 0.5, retransmitMs: 20 }, false),
    "REST, through the gateway": async () => {
      const response = await fetch(`${system.gateway}/ports?query=an&limit=50`, { headers: { connection: "close" } });
      return response.json();
    },
  };
  for (const [way, ask] of Object.entries(ways)) await t.test(way, async () => assert.deepEqual(await ask(), truth));

  const curl = (...args: string[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const post = ["--header", "content-type: application/json", "--data", json, url];
      execFile("curl", ["--silent", "--show-error", "--max-time", "10", ...args, ...post], (error, stdout) => {
        if (error === null) resolve(JSON.parse(stdout));
        else reject(error);
      });
    });
  const programs: Record<string, string[]> = {
    "curl, HTTP/1.1": ["--http1.1"],
    "curl, HTTP/1.0": ["--http1.0"],
    "curl, HTTP/2": ["--http2-prior-knowledge"],
    "curl, packed": ["--compressed"],
    "curl, in chunks": ["--header", "transfer-encoding: chunked"],
  };
  for (const [program, args] of Object.entries(programs)) {
    await t.test(program, { skip }, async () => assert.deepEqual(await curl(...args), truth));
  }

  await t.test("IPv6", async (t) => {
    const six = await faultProxy({ to: address, host: "::1" }).catch(() => undefined);
    if (six === undefined) return t.skip("this machine has no IPv6 loopback");
    t.after(() => six.close());
    for (const http2 of [false, true]) assert.deepEqual(await by({ http2 }, six.address), truth);
  });

  await t.test("many requests in one packet are answered one by one, in order", async () => {
    const { hostname, port, pathname } = new URL(url);
    const head = `POST ${pathname} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${json.length}\r\n`;
    const socket = connect(Number(port), hostname);
    socket.write(`${head}\r\n${json}${head}\r\n${json}${head}connection: close\r\n\r\n${json}`);
    let text = "";
    for await (const chunk of socket.setEncoding("utf8")) text += chunk as string;
    const answers = text.split("HTTP/1.1 200 OK\r\n").slice(1);
    assert.equal(answers.length, 3);
    for (const answer of answers) assert.deepEqual(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n"))), truth);
  });

  await t.test("replicas at different distances, in turn", async (t) => {
    for (const [i, proxy] of all.entries()) proxy.inject({ latencyMs: 20 * i, chunkBytes: 10 ** i * 10 });
    const addresses = all.map((proxy) => proxy.address);
    const routing = dial(t, Routing, addresses, { balance: roundRobin() });
    const outcomes = await traffic(30, 3, async () => assert.deepEqual(await routing.ports(ctx, question), truth));
    assert.deepEqual(failed(outcomes), []);
    await proxies();
  });
});
