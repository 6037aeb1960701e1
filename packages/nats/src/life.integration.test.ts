import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { type Clock, systemClock } from "flotilla/clock";
import { background, type Context, sleep, withTimeout } from "flotilla/context";
import { contract, unary } from "flotilla/contract";
import { client, host, implement } from "flotilla/service";
import { until } from "flotilla/testing";
import { serverPath, skipWithout } from "../../../scripts/servers.ts";
import { natsClient } from "./client.ts";
import { jetstream } from "./jetstream/server.ts";
import { nats } from "./server.ts";
import { anything, clientOf, failureOf, Gate } from "./test-fixtures/bed.ts";
import { Jobs } from "./test-fixtures/jobs.ts";
import { TestNats } from "./test-fixtures/nats-server.ts";
import { Relay } from "./test-fixtures/relay.ts";

const skip = await skipWithout("nats-server");
const quiet = { admin: false, onEvent() {}, onError() {} } as const;

const Counter = contract("test.v1.Counter", {
  add: unary({ input: anything<{ n: number }>(), output: anything<{ by: string }>() }),
});

const opensslMissing = await skipWithout("openssl");

describe("hosts and clients", { skip }, () => {
  let broker: TestNats;
  before(async () => {
    broker = await TestNats.start();
  });
  after(() => broker?.stop());

  const serving = (name: string) =>
    host({
      ...quiet,
      name,
      serve: [implement(Counter, { add: () => ({ by: name }) })],
      listen: [nats({ servers: broker.address })],
    }).start();

  test("a client keeps its process alive while it has calls, and no longer", async (t) => {
    const run = async (_ctx: Context, { n }: { n: number }) => {
      await sleep(background(), n * 200);
      return {};
    };
    const service = implement(Jobs, { run });
    const handling = await jetstream({ servers: broker.address, stream: "jobs" }).listen([service], background());
    const listening = await nats({ servers: broker.address }).listen([service], background());
    t.after(() => Promise.all([handling.close(), listening.close()]));
    const file = join(import.meta.dirname, "test-fixtures/idle-process.ts");
    const args = ["--conditions=@flotilla/source", file, broker.address];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
    assert.equal(stdout, "[{},{},{}]");
  });

  test("processes come and go under load, and no call fails, not even of a method that may not be repeated", async () => {
    // No registry: the address is the broker's.
    const counter = client(Counter, { discover: [broker.address], transport: natsClient() });
    const by = new Map<string, number>();
    let stop = false;
    const lane = async (): Promise<void> => {
      for (let n = 0; !stop; n++) {
        const ctx = withTimeout(background(), 10_000);
        const answer = await counter.add(ctx, { n });
        ctx.cancel();
        by.set(answer.by, (by.get(answer.by) ?? 0) + 1);
      }
    };
    let current = await serving("process 0");
    const lanes = Array.from({ length: 16 }, lane);
    for (let n = 1; n <= 5; n++) {
      await until(`process ${n - 1} serves`, () => (by.get(`process ${n - 1}`) ?? 0) > 100);
      const next = await serving(`process ${n}`);
      await current.stop();
      current = next;
    }
    await until("the last one serves", () => (by.get("process 5") ?? 0) > 100);
    stop = true;
    await Promise.all(lanes);
    await counter[Symbol.asyncDispose]();
    await current.stop();
  });

  test("a call whose connection was lost is cancelled at the server once it is back", async (t) => {
    const canceled = new Gate();
    const begun = new Gate();
    const listening = await nats({ servers: broker.address }).listen(
      [
        implement(Counter, {
          add: (ctx) =>
            new Promise((_resolve, reject) => {
              begun.set();
              ctx.signal.addEventListener("abort", () => {
                canceled.set();
                reject(ctx.err!);
              });
            }),
        }),
      ],
      background(),
    );
    const relay = await Relay.open(broker.port);
    const connection = natsClient({ maxReconnectMs: 10 }).connect(relay.address);
    t.after(async () => {
      await connection.close();
      await listening.close();
      await relay.close();
    });
    const failure = failureOf(clientOf(Counter, connection).add(background(), { n: 1 }));
    await begun.open;
    relay.cut();
    assert.equal((await failure).code, "unavailable");
    await canceled.open;
    await until("nothing is in flight", () => listening.inFlight === 0);
  });

  test("an answer that is ready while the server has no connection is sent when it has one again", async (t) => {
    const relay = await Relay.open(broker.port);
    const begun = new Gate();
    const done = new Gate();
    const listening = await nats({ servers: relay.address, maxReconnectMs: 20 }).listen(
      [
        implement(Counter, {
          async add() {
            begun.set();
            await done.open;
            return { by: "a server that was away" };
          },
        }),
      ],
      background(),
    );
    const connection = natsClient().connect(broker.address);
    t.after(async () => {
      await connection.close();
      await listening.close();
      await relay.close();
    });
    const answer = clientOf(Counter, connection).add(background(), { n: 1 });
    await begun.open;
    await relay.stop();
    await until("the server has lost its connection", () => listening.connections === 0);
    done.set();
    await until("the answer is ready", () => listening.inFlight === 0);
    await relay.start();
    assert.deepEqual(await answer, { by: "a server that was away" });
  });

  test("over TLS, and only with a certificate that is trusted", { skip: opensslMissing }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "flotilla-nats-tls-"));
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
    const made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
    await promisify(execFile)(await serverPath("openssl"), [...made, ...subject, "-keyout", key, "-out", cert]);
    const secret = await TestNats.start(`tls { cert_file: "${cert}", key_file: "${key}" }`);
    const trusting = { broker: { tls: { ca: await readFile(cert, "utf8") } } };
    const counter = implement(Counter, { add: () => ({ by: "secret" }) });
    const listening = await nats({ servers: secret.address, ...trusting }).listen([counter], background());
    const connection = natsClient(trusting).connect(secret.address);
    const wary = natsClient().connect(secret.address);
    t.after(async () => {
      await wary.close();
      await connection.close();
      await listening.close();
      await secret.stop();
      await rm(folder, { recursive: true });
    });
    assert.deepEqual(await clientOf(Counter, connection).add(background(), { n: 1 }), { by: "secret" });
    const { code, message } = await failureOf(clientOf(Counter, wary).add(background(), { n: 1 }));
    assert.equal(code, "unavailable");
    assert.match(message, /the broker cannot be reached: .*certificate/);
  });

  test("a call that waited for the connection tells its server of the time that is left", async (t) => {
    let nowMs = 0;
    const clock: Clock = { ...systemClock, now: () => nowMs, schedule: (ms, then) => systemClock.schedule(ms, then) };
    const plain = await broker.client();
    const told: (string | undefined)[] = [];
    plain.subscribe("flotilla.test.v1.Counter.add", {
      callback: (_error, msg) => {
        told.push(msg.headers?.get("connect-timeout-ms"));
        msg.respond('{"by":"somebody"}');
      },
    });
    await plain.flush();
    const connection = natsClient({}, clock).connect(broker.address);
    t.after(async () => {
      await connection.close();
      await plain.close();
    });
    const answer = clientOf(Counter, connection).add(withTimeout(background(clock), 5000), { n: 1 });
    nowMs = 1000;
    await answer;
    assert.deepEqual(told, ["4000"]);
  });

  test("options that are not legal are refused, by name", () => {
    assert.throws(() => nats({ servers: [] }), /nats: servers must not be empty/);
    assert.throws(() => nats({ servers: "http://x" }), /nats: address "http:\/\/x" must look like nats:\/\/host:port/);
    assert.throws(() => nats({ servers: "nats://u:p@x" }), /credentials do not stand in an address/);
    assert.throws(() => nats({ prefix: "a.*" }), /nats: prefix must be tokens/);
    assert.throws(() => nats({ queue: "a b" }), /nats: queue must be tokens/);
    assert.throws(() => nats({ version: "1" }), /nats: version must be like 1\.0\.0/);
    assert.throws(() => nats({ windowBytes: 0 }), /nats: windowBytes/);
    assert.throws(() => nats({ maxPendingBytes: 1000 }), /nats: maxPendingBytes/);
    assert.throws(() => nats({ maxMessageBytes: -1 }), /nats: maxMessageBytes/);
    assert.throws(() => natsClient({ heartbeatMs: 1 }), /natsClient: heartbeatMs/);
    assert.throws(() => natsClient({ connectTimeoutMs: Number.NaN }), /natsClient: connectTimeoutMs/);
    assert.throws(() => natsClient({ servers: ["nats://x/y"] }), /natsClient: address/);
    assert.throws(() => natsClient().connect("grpc://x:1"), /natsClient: address/);
    // What the environment does not say is no name, and what timers cannot wait for no time.
    const missing = undefined as unknown as string;
    assert.throws(() => natsClient({ prefix: missing }), /natsClient: prefix must be tokens .*, got undefined/);
    assert.throws(() => jetstream({ stream: "orders", group: missing }), /jetstream: group must be letters/);
    for (const name of ["connectTimeoutMs", "pingIntervalMs", "maxReconnectMs"]) {
      assert.throws(() => natsClient({ [name]: Infinity }), new RegExp(`natsClient: ${name} .* at most 2147483647`));
    }
    for (const name of ["ackWaitMs", "retryDelayMs", "maxRetryDelayMs"]) {
      assert.throws(() => jetstream({ stream: "orders", [name]: Infinity }), new RegExp(`jetstream: ${name}`));
    }
  });
});
