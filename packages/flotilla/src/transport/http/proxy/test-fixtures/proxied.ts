import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import type { Balancer, BalancerFactory, Candidate } from "../../../../balance/balancer.ts";
import { type ChannelOptions, channel } from "../../../../service/channel.ts";
import type { HttpServerOptions } from "../../options.ts";
import { type Served, serve } from "../../test-fixtures/bed.ts";
import type { ProxyOptions } from "../options.ts";
import { proxy } from "../proxy.ts";
import { type ProxyClientOptions, proxyClient } from "../proxy-client.ts";

/** An upstream of a test; ends with it. */
export interface Upstream {
  readonly address: string;
  /** Sockets that were accepted. */
  readonly sockets: Socket[];
  /** Ends it as a crash would. */
  kill(): void;
}

/** An upstream that answers as told. */
export async function upstream(
  t: TestContext,
  answer: (req: IncomingMessage, res: ServerResponse) => unknown,
): Promise<Upstream> {
  const server = createServer((req, res) => void answer(req, res));
  const sockets: Socket[] = [];
  server.on("connection", (socket) => sockets.push(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const kill = (): void => {
    server.close();
    server.closeAllConnections();
  };
  t.after(kill);
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, kill };
}

/** An upstream that is a bare socket: `answer` is called with each request's head and whatever came with it. */
export async function rawUpstream(
  t: TestContext,
  answer: (socket: Socket, received: string) => void,
): Promise<Upstream> {
  const sockets: Socket[] = [];
  const server = createTcpServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => answer(socket, data.toString("latin1")));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const kill = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  t.after(kill);
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, kill };
}

/** What a proxy of a test is made of. */
export interface Proxied {
  readonly to: readonly string[];
  readonly proxy?: Partial<ProxyOptions>;
  readonly client?: ProxyClientOptions;
  readonly channel?: Partial<ChannelOptions>;
  readonly http?: HttpServerOptions;
}

/** A proxy before upstreams, for all paths unless told otherwise; ends with the test. */
export async function proxied(t: TestContext, { to, ...rest }: Proxied): Promise<Served> {
  const over = channel({ discover: to, transport: proxyClient(rest.client), ...rest.channel });
  t.after(() => over.close());
  return serve(t, { ...rest.http, protocols: [proxy({ over, ...rest.proxy })] });
}

/** Picks one instance as long as it may. */
export function rather(address: string): BalancerFactory {
  return <C extends Candidate>(): Balancer<C> => {
    let all: readonly C[] = [];
    return {
      update: (candidates) => {
        all = candidates.toSorted(
          (a, b) => Number(b.instance.address === address) - Number(a.instance.address === address),
        );
      },
      pick: (_ctx, avoided) => all.find((one) => avoided?.has(one) !== true) ?? all[0],
    };
  };
}
