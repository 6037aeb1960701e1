// The service as it is started, called over every transport: the answers are the same. Then by peers that know nothing of Flotilla.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect as connectSocket } from "node:net";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { create, type DescMethod, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import { connect as connectNats } from "@nats-io/transport-node";
import { type ConsumeMessage, connect as connectAmqp } from "amqplib";
import { background, withTimeout } from "flotilla/context";
import { ServiceError } from "flotilla/errors";
import type { LambdaContext } from "flotilla/lambda";
import { startRabbit, type TestRabbit } from "../../../scripts/rabbitmq.ts";
import { findServer, freePort, type RunningServer, serverPath, startServer } from "../../../scripts/servers.ts";
import { Adder } from "./gen/addsvc/v1/addsvc_pb.ts";
import { handler } from "./lambda.ts";
import type { Places } from "./places.ts";
import { transports } from "./transports.ts";

const run = promisify(execFile);
const node = [process.execPath, "--conditions=@flotilla/source"] as const;
const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const hasNats = (await findServer("nats-server")).path !== undefined;
const hasAmqp = (await findServer("rabbitmq-server")).path !== undefined;
const without: Readonly<Record<string, string | false>> = {
  nats: hasNats ? false : "there is no nats-server",
  amqp: hasAmqp ? false : "there is no rabbitmq-server",
};

let natsServer: RunningServer | undefined;
let rabbit: TestRabbit | undefined;
let service: ReturnType<typeof spawn> | undefined;
let places: Places;

/** Whether a NATS server says who it is there. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket(port, "127.0.0.1");
    socket.once("error", () => resolve(false));
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

function options({ port, nats, amqp }: Places): string[] {
  const brokers = [...(nats === undefined ? [] : ["--nats", nats]), ...(amqp === undefined ? [] : ["--amqp", amqp])];
  return ["--port", String(port), ...brokers];
}

before(async () => {
  let nats: string | undefined;
  if (hasNats) {
    const port = await freePort();
    natsServer = await startServer({
      command: await serverPath("nats-server"),
      args: () => ["-a", "127.0.0.1", "-p", String(port)],
      ready: () => greets(port),
    });
    nats = `nats://127.0.0.1:${port}`;
  }
  if (hasAmqp) rabbit = await startRabbit();
  const asked = { port: 0, nats, amqp: rabbit?.url };
  service = spawn(node[0], [node[1], file("main.ts"), ...options(asked)], { stdio: ["ignore", "inherit", "pipe"] });
  for await (const line of createInterface({ input: service.stderr! })) {
    const found = /serving addsvc\.v1\.Adder at http:\/\/127\.0\.0\.1:(\d+)/.exec(line);
    if (found === null) continue;
    places = { ...asked, port: Number(found[1]) };
    break;
  }
});

after(async () => {
  // Whatever did not start: the rest ends, or this process would wait for it.
  const code = service && (await ended(service));
  await Promise.all([natsServer?.stop(), rabbit?.stop()]);
  if (service !== undefined) assert.equal(code, 0, "the service exits cleanly on SIGTERM");
});

async function ended(process: ReturnType<typeof spawn>): Promise<number | null> {
  process.kill("SIGTERM");
  if (process.exitCode === null) await once(process, "exit");
  return process.exitCode;
}

/** Which transports carry no streams. */
const unary = new Set(["json-rpc", "amqp", "lambda"]);

for (const [name, { open }] of Object.entries(transports)) {
  test(`over ${name}: the answers are the same`, { skip: without[name] ?? false, timeout: 30_000 }, async () => {
    const adder = await open(places);
    const ctx = withTimeout(background(), 20_000);
    try {
      assert.equal((await adder.sum(ctx, { a: 1, b: -3 })).v, -2);
      assert.equal((await adder.concat(ctx, { a: "foo", b: "bär" })).v, "foobär");
      const totals: number[] = [];
      const stream = async (): Promise<void> => {
        for await (const { v } of adder.totals(ctx, { numbers: [1, 2, 3] })) totals.push(v);
      };
      if (unary.has(name)) await assert.rejects(stream, { code: "unimplemented" });
      else {
        await stream();
        assert.deepEqual(totals, [1, 3, 6]);
      }
      const refusals = [
        [() => adder.sum(ctx, {}), "invalid_argument", "can't sum two zeroes", "TWO_ZEROES"],
        [
          () => adder.sum(ctx, { a: 2 ** 31 - 1, b: 1 }),
          "out_of_range",
          "2147483647 + 1 is more than 32 bits hold",
          "INT_OVERFLOW",
        ],
        [
          () => adder.concat(ctx, { a: "123456", b: "78901" }),
          "out_of_range",
          "the result is longer than 10",
          "MAX_SIZE_EXCEEDED",
        ],
      ] as const;
      for (const [call, code, message, reason] of refusals) {
        const error = await call().then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        assert.ok(error instanceof ServiceError, String(error));
        assert.deepEqual([error.code, error.message], [code, message]);
        assert.equal((error.details[0]!.value as { reason: string }).reason, reason);
      }
    } finally {
      ctx.cancel();
      await adder[Symbol.asyncDispose]();
    }
  });

  test(`addcli --transport ${name}`, { skip: without[name] ?? false, timeout: 30_000 }, async () => {
    const { stdout } = await run(node[0], [
      node[1],
      file("addcli.ts"),
      "--transport",
      name,
      ...options(places),
      "sum",
      "1",
      "-2",
    ]);
    assert.equal(stdout, "-1\n");
  });
}

test("addcli says how it is used, and what is missing", async () => {
  const failure = async (...words: string[]): Promise<string> => {
    const error = await run(node[0], [node[1], file("addcli.ts"), ...words], { env: {} }).then(
      () => assert.fail("it has not failed"),
      (thrown: unknown) => thrown as { code: number; stderr: string },
    );
    return `${error.code} ${error.stderr}`;
  };
  assert.match(
    await failure("--transport", "pigeon", "sum", "1", "2"),
    /^2 there is no transport pigeon\n\nusage: addcli /,
  );
  assert.match(await failure(...options(places), "sum", "0", "0"), /^1 invalid_argument: can't sum two zeroes\n/);
  assert.match(await failure("sum", "1", "two"), /^2 two is no whole number/);
  assert.match(await failure("--transport", "nats", "sum", "1", "2"), /^1 .*there is no broker: name one with --nats/);
});

test("curl, or whatever speaks HTTP: Connect, REST and JSON-RPC", async () => {
  const address = `http://127.0.0.1:${places.port}`;
  const post = async (path: string, body: unknown): Promise<unknown> => {
    const headers = { "content-type": "application/json" };
    return (await fetch(address + path, { method: "POST", headers, body: JSON.stringify(body) })).json();
  };
  assert.deepEqual(await post("/addsvc.v1.Adder/Sum", { a: 1, b: 2 }), { v: 3 });
  assert.deepEqual(await (await fetch(`${address}/sum/1/2`)).json(), { v: 3 });
  assert.deepEqual(await (await fetch(`${address}/concat?a=foo&b=bar`)).json(), { v: "foobar" });
  assert.deepEqual(
    await post("/rpc", { jsonrpc: "2.0", method: "addsvc.v1.Adder.Sum", params: { a: 1, b: 2 }, id: 7 }),
    {
      jsonrpc: "2.0",
      result: { v: 3 },
      id: 7,
    },
  );
});

test("grpc-js calls it", async () => {
  const client = new Client(`127.0.0.1:${places.port}`, credentials.createInsecure());
  const call = (method: DescMethod, request: Record<string, unknown>): Promise<Message> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        `/${method.parent.typeName}/${method.name}`,
        (value: Message) => Buffer.from(toBinary(method.input, value)),
        (bytes) => fromBinary(method.output, new Uint8Array(bytes)),
        create(method.input, request),
        (error, answer) => (error === null ? resolve(answer!) : reject(error)),
      );
    });
  try {
    assert.equal(((await call(Adder.method.sum, { a: 1, b: 2 })) as unknown as { v: number }).v, 3);
    await assert.rejects(call(Adder.method.sum, {}), /INVALID_ARGUMENT: can't sum two zeroes/);
  } finally {
    client.close();
  }
});

test("a plain client of NATS asks it", { skip: without["nats"]! }, async () => {
  const connection = await connectNats({ servers: places.nats! });
  const answer = await connection.request("flotilla.addsvc.v1.Adder.Sum", '{"a":1,"b":2}', { timeout: 5000 });
  assert.deepEqual(answer.json(), { v: 3 });
  await connection.close();
});

test("a plain client of AMQP asks it", { skip: without["amqp"]! }, async () => {
  const connection = await connectAmqp(places.amqp!);
  const channel = await connection.createChannel();
  const answered = new Promise<ConsumeMessage>((resolve) => {
    void channel
      .consume("amq.rabbitmq.reply-to", (message) => resolve(message!), { noAck: true })
      .then(() =>
        channel.sendToQueue("addsvc.v1.Adder", Buffer.from('{"a":1,"b":2}'), {
          type: "addsvc.v1.Adder/Sum",
          contentType: "application/json",
          correlationId: "1",
          replyTo: "amq.rabbitmq.reply-to",
        }),
      );
  });
  assert.deepEqual(JSON.parse((await answered).content.toString()), { v: 3 });
  await connection.close();
});

test("AWS Lambda has it as a function", async () => {
  const context: LambdaContext = {
    awsRequestId: "1",
    functionName: "addsvc",
    getRemainingTimeInMillis: () => 3000,
  } as LambdaContext;
  assert.deepEqual(await handler({ method: "addsvc.v1.Adder/Sum", input: { a: 1, b: 2 } }, context), {
    output: { v: 3 },
    metadata: {},
  });
});

test("the README names every transport", async () => {
  const readme = await readFile(file("../README.md"), "utf8");
  for (const name of Object.keys(transports)) assert.ok(readme.includes(`--transport ${name}`), name);
});
