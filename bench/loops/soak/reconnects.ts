// Calls over a connection that breaks every hundred calls: client, server and a proxy that resets all connections, in one process. After
// each round it prints what is in use. Arguments: transport, rounds, calls a round, the port of a broker where there is one.
import { amqp, amqpClient } from "@flotilla/amqp";
import { nats, natsClient } from "@flotilla/nats";
import { background, withCancel } from "flotilla/context";
import { contract, serverStream, unary } from "flotilla/contract";
import type { Connector, Listener } from "flotilla/endpoint";
import { grpc, grpcClient } from "flotilla/grpc";
import { http, httpClient } from "flotilla/http";
import { channel, client, host, implement } from "flotilla/service";
import { faultProxy } from "flotilla/testing";
import { z } from "zod";
import { MAX_GROWTH_BYTES, playRounds, resourcesLeft, say } from "./rounds.ts";

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
const CALLS_A_CONNECTION = 100;

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
let breaks = 0;

async function call(n: number): Promise<void> {
  if (name === "amqp" || n % 50 !== 0) return void (await service.do(root, { n }));
  for await (const { n: got } of service.list(root, { n })) if (n % 100 === 0 && got > n) return;
}

async function cut(): Promise<void> {
  breaks++;
  await proxy.inject({ reset: true, connections: "open" }).heal();
}

const { gained, outcomes } = await playRounds(
  Number(rounds),
  Number(calls),
  async (n) => {
    if (n % CALLS_A_CONNECTION === 0) await cut();
    await call(n);
  },
  { title: "connections", value: () => proxy.counts.accepted },
);
const { accepted } = proxy.counts;
await over.close();
await running.stop();
await proxy.close();
root.cancel();
await new Promise((resolve) => setTimeout(resolve, 50));
const resources = resourcesLeft();
say(`outcomes ${JSON.stringify(outcomes)}, cut ${breaks.toLocaleString("en-US")} times`);
say(`heap gained since the first round: ${gained.toLocaleString("en-US")} bytes; handles and timers ${resources}`);
const reconnected = accepted >= breaks * 0.9;
if (!reconnected) say(`only ${accepted} connections for ${breaks} cuts`);
process.exitCode = gained > MAX_GROWTH_BYTES || resources > 0 || !reconnected ? 1 : 0;
