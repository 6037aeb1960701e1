import { amqp, amqpClient } from "@flotilla/amqp";
import { nats, natsClient } from "@flotilla/nats";
import type { Connector, HttpProtocol, Listener } from "flotilla/endpoint";
import { grpc, grpcClient } from "flotilla/grpc";
import { grpcWebClient } from "flotilla/grpc-web";
import { http, httpClient } from "flotilla/http";
import { jsonRpc, jsonRpcClient } from "flotilla/json-rpc";
import { lambdaClient, localFunctions } from "flotilla/lambda";
import { memory } from "flotilla/memory";
import { proxy, proxyClient } from "flotilla/proxy";
import { channel, client, type HostOptions, host, implement, type RunningHost } from "flotilla/service";
import { Adder, type AdderClient } from "./contract.ts";
import { handler } from "./lambda.ts";
import type { Places } from "./places.ts";
import { adder } from "./service.ts";

/** One way to the service: all that there is to say of it. */
interface Transport {
  /** What it needs beside the port of HTTP; undefined where its broker is not there. Default nothing. */
  readonly listen?: (places: Places) => Listener | undefined;
  /** What it speaks on the port of HTTP beside Connect and REST. Default nothing. */
  readonly protocol?: () => HttpProtocol;
  /** A client. @throws Error when it cannot be reached so, saying what is missing. */
  readonly open: (places: Places) => AdderClient | Promise<AdderClient>;
}

function calls(address: string, transport: Connector): AdderClient {
  return client(Adder, { discover: [address], transport });
}

/** The address of a broker. @throws Error when there is none. */
function given(address: string | undefined, option: string): string {
  if (address === undefined) throw new Error(`there is no broker: name one with ${option}`);
  return address;
}

/** All ways there are. A further one is a further entry. */
export const transports: Readonly<Record<string, Transport>> = {
  http: {
    open: ({ port }) => calls(`http://127.0.0.1:${port}`, httpClient()),
  },
  grpc: {
    protocol: () => grpc({ reflection: true }),
    open: ({ port }) => calls(`grpc://127.0.0.1:${port}`, grpcClient()),
  },
  "grpc-web": {
    open: ({ port }) => calls(`http://127.0.0.1:${port}`, grpcWebClient()),
  },
  "json-rpc": {
    protocol: () => jsonRpc(),
    open: ({ port }) => calls(`http://127.0.0.1:${port}`, jsonRpcClient()),
  },
  nats: {
    listen: ({ nats: server }) => (server === undefined ? undefined : nats({ servers: server })),
    open: (places) => calls(given(places.nats, "--nats nats://host:port"), natsClient()),
  },
  amqp: {
    listen: ({ amqp: url }) => (url === undefined ? undefined : amqp({ url })),
    open(places) {
      const { username, password, host: at, pathname } = new URL(given(places.amqp, "--amqp amqp://host:port"));
      const login =
        username === "" ? {} : { username: decodeURIComponent(username), password: decodeURIComponent(password) };
      return calls(`amqp://${at}${pathname}`, amqpClient(login));
    },
  },
  /** Through a reverse proxy, which the client brings along. */
  proxy: {
    async open({ port }) {
      const over = channel({ discover: [`http://127.0.0.1:${port}`], transport: proxyClient() });
      const edge = await aside({
        listen: [http({ port: 0, protocols: [proxy({ over, service: Adder.name })] })],
        close: [over],
      });
      return together(calls(edge.addresses[0]!, httpClient()), edge);
    },
  },
  /** The function of `lambda.ts`, in the process of the client. On the platform `invoke` is one of `@aws-sdk/client-lambda`. */
  lambda: {
    open: () => calls("lambda://addsvc", lambdaClient({ invoke: localFunctions({ addsvc: handler }) })),
  },
  /** Server and client in one process: there is nobody else to be called. */
  memory: {
    async open() {
      const net = memory();
      const own = await aside({ serve: [implement(Adder, adder)], listen: [net.listener("addsvc")] });
      return together(calls("memory://addsvc", net), own);
    },
  },
};

/** A host beside the client, which says nothing of itself. */
function aside(options: Pick<HostOptions, "serve" | "listen" | "close">): Promise<RunningHost> {
  return host({ name: "addsvc", admin: false, onEvent() {}, ...options }).start();
}

function together({ [Symbol.asyncDispose]: close, ...methods }: AdderClient, server: RunningHost): AdderClient {
  return {
    ...methods,
    async [Symbol.asyncDispose]() {
      await close();
      await server.stop();
    },
  };
}
