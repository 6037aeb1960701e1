import { createServer } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { type ConnectNodeAdapterOptions, connectNodeAdapter } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../../../../test/gen/google/rpc/error_details_pb.ts";
import {
  type ChatRequest,
  type CountRequest,
  Echo,
  type SayRequest,
  type SumRequest,
} from "../../../../test/gen/test/v1/echo_pb.ts";
import { codeOf } from "./connect.ts";
import { SERIAL } from "./echo.ts";

/** What Connect's server fails with when it is told to. */
function asked(code: string): ConnectError {
  const info = { reason: "ASKED", domain: "echo.example", metadata: { code } };
  return new ConnectError(`asked for ${code}`, codeOf(code), { "x-reason": "asked" }, [
    { desc: ErrorInfoSchema, value: info },
  ]);
}

/** Resolves when the signal has fired. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** `EchoService`, as Connect's own server for Node serves it. */
export class EchoPeer implements ServiceImpl<typeof Echo> {
  /** Of the last call. */
  context: HandlerContext | undefined;
  readonly #arrived: (() => void)[] = [];

  /** Resolves at the next call. */
  arrival(): Promise<void> {
    return new Promise((resolve) => void this.#arrived.push(resolve));
  }

  async say({ sentence, times, failWith, sentAt }: SayRequest, context: HandlerContext) {
    this.#begin(context);
    if (failWith === "hang") {
      await aborted(context.signal);
      throw context.signal.reason;
    }
    if (failWith !== undefined) throw asked(failWith);
    return {
      sentence: sentence.repeat(times || 1),
      serial: SERIAL,
      digest: new Uint8Array([0, 255, 128]),
      ...(sentAt !== undefined && { sentAt }),
    };
  }

  async *count({ to, failAfter }: CountRequest, context: HandlerContext) {
    this.#begin(context);
    for (let number = 1; number <= to; number++) {
      if (failAfter > 0 && number > failAfter) throw asked("out_of_range");
      yield { number };
      if (failAfter < 0) {
        await aborted(context.signal);
        throw context.signal.reason;
      }
    }
  }

  async sum(requests: AsyncIterable<SumRequest>, context: HandlerContext) {
    this.#begin(context);
    let sum = 0n;
    let count = 0;
    for await (const { number } of requests) {
      if (number < 0) throw asked("invalid_argument");
      sum += BigInt(number);
      count++;
    }
    return { sum, count };
  }

  async *chat(requests: AsyncIterable<ChatRequest>, context: HandlerContext) {
    this.#begin(context);
    let number = 0;
    for await (const { sentence } of requests) {
      if (sentence === "fail") throw asked("aborted");
      yield { sentence: sentence.toUpperCase(), number: ++number };
    }
  }

  #begin(context: HandlerContext): void {
    this.context = context;
    const ask = context.requestHeader.get("x-ask");
    if (ask !== null) {
      context.responseHeader.set("x-reply", ask);
      context.responseTrailer.set("x-after", ask);
    }
    context.responseHeader.append("x-many", "one");
    context.responseHeader.append("x-many", "two");
    for (const arrived of this.#arrived.splice(0)) arrived();
  }
}

/** Serves an {@link EchoPeer} until the test ends. */
export async function servePeer(
  t: TestContext,
  http2: boolean,
  options: Omit<ConnectNodeAdapterOptions, "routes"> = {},
): Promise<{ readonly peer: EchoPeer; readonly address: string }> {
  const peer = new EchoPeer();
  const handler = connectNodeAdapter({ ...options, routes: (router) => void router.service(Echo, peer) });
  const server = http2 ? createHttp2Server(handler) : createServer(handler);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session: ServerHttp2Session) => void sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const session of sessions) session.destroy();
    if ("closeAllConnections" in server) server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { peer, address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
