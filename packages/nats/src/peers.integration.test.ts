import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { Svcm } from "@nats-io/services";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { background, withTimeout, withValue } from "flotilla/context";
import { contract, type Implementation, serverStream, unary } from "flotilla/contract";
import { errorReporterKey } from "flotilla/endpoint";
import { errorInfo, ServiceError } from "flotilla/errors";
import { serverCall, withHeaders, withResponseObserver } from "flotilla/metadata";
import { implement } from "flotilla/service";
import { until } from "flotilla/testing";
import { skipWithout } from "../../../scripts/servers.ts";
import { natsClient } from "./client.ts";
import { type NatsOptions, nats } from "./server.ts";
import { anything, clientOf, failureOf, Gate } from "./test-fixtures/bed.ts";
import { TestNats } from "./test-fixtures/nats-server.ts";

const skip = await skipWithout("nats-server");

interface Sum {
  readonly a: number;
  readonly b: number;
}

const Calculator = contract("calc.v1.Calculator", {
  sum: unary({ input: anything<Sum>(), output: anything<{ v: number }>(), idempotent: true, doc: "Adds." }),
  ticks: serverStream({ input: anything<Sum>(), output: anything<{ n: number }>() }),
});

const calculator: Implementation<typeof Calculator> = {
  sum: (_ctx, { a, b }) => ({ v: a + b }),
  async *ticks() {
    yield { n: 1 };
  },
};

describe("peers that are not ours", { skip }, () => {
  let broker: TestNats;
  before(async () => {
    broker = await TestNats.start();
  });
  after(() => broker?.stop());

  async function serve(t: TestContext, methods: Partial<typeof calculator> = {}, options: NatsOptions = {}) {
    const listener = nats({ servers: broker.address, ...options });
    const listening = await listener.listen([implement(Calculator, { ...calculator, ...methods })], background());
    const plain = await broker.client();
    t.after(async () => {
      await plain.close();
      await listening.close();
    });
    return { listening, plain };
  }

  async function ours(
    t: TestContext,
  ): Promise<{ plain: NatsConnection; calls: ReturnType<typeof clientOf<typeof Calculator>> }> {
    const plain = await broker.client();
    const connection = natsClient().connect(broker.address);
    t.after(async () => {
      await connection.close();
      await plain.close();
    });
    return { plain, calls: clientOf(Calculator, connection) };
  }

  test("a plain client asks: JSON both ways, no header needed", async (t) => {
    const { plain } = await serve(t);
    const answer = await plain.request("flotilla.calc.v1.Calculator.sum", '{"a":1,"b":2}', { timeout: 5000 });
    assert.deepEqual(answer.json(), { v: 3 });
    assert.equal(answer.headers, undefined);
  });

  test("headers, trailers and the deadline of a plain client", async (t) => {
    const { plain } = await serve(t, {
      sum(ctx) {
        const call = serverCall(ctx)!;
        call.responseHeaders.set("x-seen", `${call.headers.get("X-Tenant")} ${call.headers.getAll("x-two").length}`);
        call.responseTrailers.set("x-trail", "t");
        return { v: ctx.deadline! - ctx.clock.now() };
      },
    });
    const head = headers();
    head.append("X-Tenant", "acme");
    head.append("x-two", "1");
    head.append("x-two", "2");
    head.append("Connect-Timeout-Ms", "1000");
    const subject = "flotilla.calc.v1.Calculator.sum";
    const answer = await plain.request(subject, "{}", { timeout: 5000, headers: head });
    const { v } = answer.json<{ v: number }>();
    assert.ok(v > 0 && v <= 1000, `${v} ms were left`);
    assert.equal(answer.headers?.get("x-seen"), "acme 2");
    assert.equal(answer.headers?.get("trailer-x-trail"), "t");
  });

  test("a plain client is told of errors as ADR-32 has them, with the whole error in the body", async (t) => {
    const { plain } = await serve(t, {
      sum() {
        throw new ServiceError("not_found", "no such\r\nnumber: é", {
          details: [errorInfo({ reason: "NO_NUMBER", domain: "calc.example" })],
          metadata: { "x-evil": "a\r\nNats-Service-Error-Code: 200" },
        });
      },
    });
    const answer = await plain.request("flotilla.calc.v1.Calculator.sum", "{}", { timeout: 5000 });
    assert.equal(answer.headers?.get("Nats-Service-Error-Code"), "404");
    assert.equal(answer.headers?.get("Nats-Service-Error"), "no such number: é");
    assert.deepEqual(answer.headers?.values("Nats-Service-Error-Code"), ["404"], "no header can be smuggled in");
    const { code, message, details } = answer.json<{ code: string; message: string; details: { type: string }[] }>();
    assert.deepEqual([code, message, details[0]?.type], ["not_found", "no such\r\nnumber: é", "google.rpc.ErrorInfo"]);
  });

  test("a message nobody waits for an answer to is handled", async (t) => {
    const seen = new Gate();
    const { plain } = await serve(t, {
      sum() {
        seen.set();
        throw new ServiceError("not_found", "whom to tell?");
      },
    });
    plain.publish("flotilla.calc.v1.Calculator.sum", "{}");
    await seen.open;
  });

  test("no answer goes to the broker's own subjects: who may call a service may not have it delete a stream", async (t) => {
    const handled: unknown[] = [];
    const { plain } = await serve(t, {
      sum(_ctx, request) {
        handled.push(request);
        return {} as { v: number };
      },
    });
    const manager = await jetstreamManager(plain);
    await manager.streams.add({ name: "precious", subjects: ["precious"] });
    plain.publish("flotilla.calc.v1.Calculator.sum", "{}", { reply: "$JS.API.STREAM.DELETE.precious" });
    await until("it is handled", () => handled.length === 1);
    // Behind it on the same way.
    await plain.request("flotilla.calc.v1.Calculator.sum", "{}", { timeout: 5000 });
    assert.equal((await manager.streams.info("precious")).config.name, "precious");
  });

  test("a stream cannot be asked for as a unary call, which says so", async (t) => {
    const { plain } = await serve(t);
    const answer = await plain.request("flotilla.calc.v1.Calculator.ticks", "{}", { timeout: 5000 });
    assert.equal(answer.headers?.get("Nats-Service-Error-Code"), "501");
    assert.match(answer.headers?.get("Nats-Service-Error") ?? "", /is server_stream, and was called as unary/);
  });

  test("processes share the requests of a queue group", async (t) => {
    const served = [0, 0];
    const counting = (index: number): Partial<typeof calculator> => ({
      sum(_ctx, { a }) {
        served[index]!++;
        return { v: a };
      },
    });
    await serve(t, counting(0));
    await serve(t, counting(1));
    const { calls } = await ours(t);
    await Promise.all(Array.from({ length: 200 }, (_, a) => calls.sum(background(), { a, b: 0 })));
    assert.equal(served[0]! + served[1]!, 200);
    assert.ok(served[0]! > 20 && served[1]! > 20, `${served.join(", ")} calls`);
  });

  test("a plain service is called: its answers, headers and errors", async (t) => {
    const { plain, calls } = await ours(t);
    plain.subscribe("flotilla.calc.v1.Calculator.sum", {
      callback: (_error, msg) => {
        const { a, b } = msg.json<Sum>();
        const head = headers();
        head.append("X-Tenant", msg.headers?.get("x-tenant") ?? "none");
        msg.respond(JSON.stringify({ v: a + b }), { headers: head });
      },
    });
    await plain.flush();
    let tenant: string | undefined;
    const ctx = withResponseObserver(withHeaders(background(), { "x-tenant": "acme" }), (head) => {
      tenant = head.get("x-tenant");
    });
    assert.deepEqual(await calls.sum(ctx, { a: 20, b: 22 }), { v: 42 });
    assert.equal(tenant, "acme");
  });

  test("a service of the client library's own framework is called, and its errors understood", async (t) => {
    const { plain, calls } = await ours(t);
    const service = await new Svcm(plain as never).add({
      name: "calc",
      version: "1.0.0",
    });
    service.addEndpoint("sum", {
      subject: "flotilla.calc.v1.Calculator.sum",
      handler: (_error, msg) => {
        const { a } = msg.json<Sum>();
        if (a < 0) msg.respondError(404, "no negative numbers");
        else msg.respond(JSON.stringify({ v: a }));
      },
    });
    await plain.flush();
    assert.deepEqual(await calls.sum(background(), { a: 1, b: 0 }), { v: 1 });
    const error = await failureOf(calls.sum(background(), { a: -1, b: 0 }));
    assert.deepEqual([error.code, error.message], ["not_found", "no negative numbers"]);
    await service.stop();
  });

  test("the services client of the library lists, describes and measures us", async (t) => {
    const { plain } = await serve(
      t,
      {
        sum(_ctx, { a, b }) {
          if (a < 0) throw new ServiceError("out_of_range", "too small");
          return { v: a + b };
        },
      },
      { version: "1.2.3", description: "Sums.", metadata: { zone: "b" } },
    );
    const { calls } = await ours(t);
    await calls.sum(background(), { a: 1, b: 2 });
    await failureOf(calls.sum(background(), { a: -1, b: 2 }));
    for await (const _ of calls.ticks(background(), { a: 1, b: 1 }));

    const tools = new Svcm(plain as never).client();
    const pings = await all(await tools.ping());
    assert.equal(pings.length, 1);
    const { id, ...identity } = pings[0]!;
    assert.match(id, /^[A-Za-z0-9]{22}$/);
    assert.deepEqual(identity, {
      type: "io.nats.micro.v1.ping_response",
      name: "calc-v1-Calculator",
      version: "1.2.3",
      metadata: { zone: "b", "flotilla.service": "calc.v1.Calculator" },
    });
    assert.equal((await all(await tools.ping("calc-v1-Calculator"))).length, 1);
    assert.equal((await all(await tools.ping("calc-v1-Calculator", id))).length, 1);
    await assert.rejects(async () => all(await tools.ping("other")));

    const [info] = await all(await tools.info("calc-v1-Calculator", id));
    assert.equal(info!.type, "io.nats.micro.v1.info_response");
    assert.equal(info!.description, "Sums.");
    assert.deepEqual(info!.endpoints, [
      {
        name: "sum",
        subject: "flotilla.calc.v1.Calculator.sum",
        queue_group: "calc.v1.Calculator",
        metadata: { kind: "unary", idempotent: "true", doc: "Adds." },
      },
      {
        name: "ticks",
        subject: "flotilla.calc.v1.Calculator.ticks",
        queue_group: "calc.v1.Calculator",
        metadata: { kind: "server_stream", idempotent: "false" },
      },
    ]);

    const [stats] = await all(await tools.stats("calc-v1-Calculator"));
    assert.equal(stats!.type, "io.nats.micro.v1.stats_response");
    assert.ok(Date.now() - Date.parse(stats!.started) < 60_000);
    const [sum, ticks] = stats!.endpoints!;
    assert.deepEqual(
      [sum!.num_requests, sum!.num_errors, sum!.last_error, ticks!.num_requests],
      [2, 1, "out_of_range: too small", 1],
    );
    assert.ok(sum!.processing_time > 0);
    assert.equal(sum!.average_processing_time, Math.floor(sum!.processing_time / 2));
  });

  test("what the broker forbids is told: at the start of a listener, and to its caller", async (t) => {
    const guarded = await TestNats.start(
      'authorization { users = [ { user: "u", password: "p", permissions: { publish: { deny: "flotilla.calc.v1.Calculator.sum" }, subscribe: { deny: ["flotilla.calc.v1.Calculator.sum", "_DEAF.>"] } } } ] }',
    );
    const account = { broker: { user: "u", pass: "p" } };
    const connection = natsClient(account).connect(guarded.address);
    t.after(async () => {
      await connection.close();
      await guarded.stop();
    });
    const error = await failureOf(
      clientOf(Calculator, connection).sum(withTimeout(background(), 5000), { a: 1, b: 2 }),
    );
    assert.equal(error.code, "permission_denied");
    assert.match(error.message, /nothing may be sent to flotilla\.calc\.v1\.Calculator\.sum/);
    await assert.rejects(
      nats({ servers: guarded.address, ...account }).listen([implement(Calculator, calculator)], background()),
      /nats: the broker at \S+ forbids to listen to flotilla\.calc\.v1\.Calculator\.sum/,
    );
    await assert.rejects(
      nats({ servers: guarded.address }).listen([], background()),
      /nats: cannot serve at .*[Aa]uthorization/,
    );
  });

  test("what the broker forbids later on is reported", async (t) => {
    const changing = await TestNats.start();
    const reported: ServiceError[] = [];
    const root = withValue(background(), errorReporterKey, (error) => reported.push(error));
    const listener = nats({ servers: changing.address, maxReconnectMs: 100 });
    const listening = await listener.listen([implement(Calculator, calculator)], root);
    t.after(async () => {
      await listening.close();
      await changing.stop();
    });
    await changing.kill();
    const permissions = 'subscribe: { deny: "flotilla.calc.v1.Calculator.sum" }';
    await changing.up(
      `authorization { users = [ { user: "u", password: "p", permissions: { ${permissions} } } ] }\nno_auth_user: u`,
    );
    await until("it is reported", () => reported.length === 2);
    assert.match(reported[0]!.message, /lost the broker/);
    assert.match(reported[1]!.message, /forbids to listen to flotilla\.calc\.v1\.Calculator\.sum/);
  });

  test("a description that the broker would not take ends nothing", async (t) => {
    const small = await TestNats.start("max_payload: 300");
    const listening = await nats({ servers: small.address }).listen([implement(Calculator, calculator)], background());
    const plain = await small.client();
    const connection = natsClient().connect(small.address);
    t.after(async () => {
      await connection.close();
      await plain.close();
      await listening.close();
      await small.stop();
    });
    const answer = await plain.request("$SRV.INFO", "", { timeout: 5000 });
    assert.equal(answer.headers?.get("Nats-Service-Error-Code"), "429");
    assert.match(answer.json<{ message: string }>().message, /^\$SRV\.INFO: \d+ bytes/);
    assert.deepEqual(await clientOf(Calculator, connection).sum(withTimeout(background(), 5000), { a: 1, b: 2 }), {
      v: 3,
    });
  });

  test("an answer that the broker forbids is reported", async (t) => {
    const guarded = await TestNats.start(
      'authorization { users = [ { user: "u", password: "p" }, { user: "s", password: "p", permissions: { publish: { deny: "_INBOX.>" } } } ] }',
    );
    const reported: ServiceError[] = [];
    const root = withValue(background(), errorReporterKey, (error) => reported.push(error));
    const listener = nats({ servers: guarded.address, broker: { user: "s", pass: "p" } });
    const listening = await listener.listen([implement(Calculator, calculator)], root);
    const connection = natsClient({ broker: { user: "u", pass: "p" } }).connect(guarded.address);
    t.after(async () => {
      await connection.close();
      await listening.close();
      await guarded.stop();
    });
    void clientOf(Calculator, connection)
      .sum(background(), { a: 1, b: 2 })
      .catch(() => {});
    await until("it is reported", () => reported.length === 1);
    assert.match(reported[0]!.message, /nats: the broker at \S+ forbids to send to _INBOX\./);
  });

  test("what is given up is cancelled at the process that has it, whoever else serves", async (t) => {
    const canceled: string[] = [];
    const begun: string[] = [];
    const hanging = (who: string): Partial<typeof calculator> => ({
      sum(ctx) {
        begun.push(who);
        return new Promise((_resolve, reject) => {
          ctx.signal.addEventListener("abort", () => {
            canceled.push(who);
            reject(ctx.err!);
          });
        });
      },
    });
    await serve(t, hanging("one"));
    await serve(t, hanging("two"));
    const { calls, plain } = await ours(t);
    const kept = calls.sum(background(), { a: 1, b: 1 }).catch(() => {});
    await until("the first has begun", () => begun.length === 1);
    const call = withTimeout(background(), 60_000);
    const failure = failureOf(calls.sum(call, { a: 1, b: 1 }));
    await until("the second has begun", () => begun.length === 2);
    call.cancel();
    assert.equal((await failure).code, "canceled");
    await until("its handler is cancelled", () => canceled.length === 1);
    assert.deepEqual(canceled, [begun[1]]);
    const counted: string[] = [];
    for await (const answer of await plain.requestMany("$SRV.STATS.calc-v1-Calculator", "", { maxMessages: 2 })) {
      const { endpoints } = answer.json<{ endpoints: { num_requests: number; last_error: string }[] }>();
      counted.push(`${endpoints[0]!.num_requests} ${endpoints[0]!.last_error}`);
    }
    assert.deepEqual(counted.toSorted(), ["0 ", "1 canceled: the client went away"]);
    void kept;
  });
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}
