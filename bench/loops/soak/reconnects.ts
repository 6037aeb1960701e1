// Calls over a connection that breaks every hundred calls: client, server and a proxy that resets all connections, in one process. After
// each round it prints what is in use. Arguments: transport, rounds, calls a round, the port of a broker where there is one.
import { amqp, amqpClient } from "@flotilla/amqp";
import { nats, natsClient } from "@flotilla/nats";
import { background, withCancel } from "flotilla/context";
import { contract, serverStream, unary } from "flotilla/contract";
import type { Connector, Listener } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { grpc, grpcClient } from "flotilla/grpc";
import { http, httpClient } from "flotilla/http";
import { channel, client, host, implement } from "flotilla/service";
import { faultProxy } from "flotilla/testing";
import { z } from "zod";

/** The two ends of a transport. Those that go through a broker are given where it can be reached: both stand behind the proxy then. */
interface Ends {
  readonly listener: Listener;
  readonly connector: Connector;
}

const transports: Readonly<Record<string, (broker: string) => Ends>> = {
  grpc: () => ({ listener: grpc({ port: 0 }), connector: grpcClient() }),
  http: () => ({ listener: http({ port: 0 }), connector: httpClient() }),
  http2: () => ({ listener: http({ port: 0 }), connector: httpClient({ http2: true }) }),
  nats: (servers) => ({ listener: nats({ servers }), connector: natsClient() }),
  amqp: (url) => ({ listener: amqp({ url, maxReconnectMs: 10 }), connector: amqpClient({ maxReconnectMs: 10 }) }),
};
const [, , name = "grpc", rounds = 10, calls = 100_000, brokerPort] = process.argv;
const LANES = 20;
const CALLS_A_CONNECTION = 100;
/** Heap that may be gained between the first round and the last. */
const MAX_GROWTH_BYTES = 1_000_000;

const message = z.object({ n: z.number() });
const Work = contract("soak.v1.Work", {
  do: unary({ input: message, output: message, idempotent: true }),
  list: serverStream({ input: message, output: message }),
});

const broker = brokerPort === undefined ? undefined : await faultProxy({ to: `127.0.0.1:${brokerPort}` });
const { listener, connector } = transports[name]!(`${name}://127.0.0.1:${broker?.port}`);
const server = host({
  name: "work",
  serve: [
    implement(Work, {
      do: (_ctx, request) => request,
      async *list(_ctx, { n }) {
        for (let i = 0; i < 3; i++) yield { n: n + i };
      },
    }),
  ],
  listen: [listener],
  admin: false,
  onEvent() {},
  onError() {},
});
const running = await server.start();
const proxy = broker ?? (await faultProxy({ to: running.addresses[0]! }));
const address = broker === undefined ? proxy.address : running.addresses[0]!;
// Nothing leaves the only instance out: it is the connection that breaks.
const over = channel({ discover: [address], transport: connector, ejection: false, use: [] });
const service = client(Work, over);
const root = withCancel(background());
const outcomes: Record<string, number> = {};
let made = 0;
let breaks = 0;

async function call(n: number): Promise<void> {
  if (name === "amqp" || n % 50 !== 0) return void (await service.do(root, { n }));
  for await (const { n: got } of service.list(root, { n })) if (n % 100 === 0 && got > n) return;
}

async function cut(): Promise<void> {
  breaks++;
  await proxy.inject({ reset: true, connections: "open" }).heal();
}

async function lane(end: number): Promise<void> {
  while (made < end) {
    const n = ++made;
    try {
      if (n % CALLS_A_CONNECTION === 0) await cut();
      await call(n);
      outcomes["ok"] = (outcomes["ok"] ?? 0) + 1;
    } catch (error) {
      const { code } = ServiceError.from(error);
      outcomes[code] = (outcomes[code] ?? 0) + 1;
    }
  }
}

/** Bytes in use when every call has ended, and all garbage is gone. */
async function heap(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 200));
  for (let i = 0; i < 3; i++) {
    globalThis.gc!();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage().heapUsed;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);
say("      calls    connections      µs a call     heap, bytes");
let first = 0;
let last = 0;
for (let round = 1; round <= Number(rounds); round++) {
  const cpu = process.cpuUsage();
  await Promise.all(Array.from({ length: LANES }, () => lane(round * Number(calls))));
  const { user, system } = process.cpuUsage(cpu);
  last = await heap();
  if (round === 1) first = last;
  const cost = ((user + system) / Number(calls)).toFixed(1);
  say(
    `${made.toLocaleString("en-US").padStart(11)}${proxy.counts.accepted.toLocaleString("en-US").padStart(15)}${cost.padStart(15)}${last.toLocaleString("en-US").padStart(16)}`,
  );
}
const { accepted } = proxy.counts;
await over.close();
await running.stop();
await proxy.close();
root.cancel();
await new Promise((resolve) => setTimeout(resolve, 50));
const resources = process.getActiveResourcesInfo().filter((type) => !/^(Pipe|TTY|File)/.test(type));
say(`outcomes ${JSON.stringify(outcomes)}, cut ${breaks.toLocaleString("en-US")} times`);
say(
  `heap gained since the first round: ${(last - first).toLocaleString("en-US")} bytes; handles and timers ${resources.length}`,
);
const reconnected = accepted >= breaks * 0.9;
if (!reconnected) say(`only ${accepted} connections for ${breaks} cuts`);
process.exitCode = last - first > MAX_GROWTH_BYTES || resources.length > 0 || !reconnected ? 1 : 0;
