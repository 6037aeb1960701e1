import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { acceptWaiting } from "../../codec/accept-waiting.ts";
import { maxSessionMemory } from "../../codec/session-memory.ts";
import type { CancelContext, Context } from "../../context/context.ts";
import { withCancel } from "../../context/with.ts";
import type { HttpProtocol } from "../../endpoint/http-protocol.ts";
import type { Service } from "../../endpoint/service.ts";
import type { Listener, Listening } from "../../endpoint/transport.ts";
import { keepalive } from "./keepalive.ts";
import { MountedGrpc, refuseHttp } from "./mounted.ts";
import { type GrpcServerOptions, type GrpcSettings, settle } from "./options.ts";

/** Headers that a page needs to call by gRPC-Web. */
const corsHeaders = {
  request: ["grpc-timeout", "x-grpc-web", "x-user-agent"],
  response: ["grpc-message", "grpc-status", "grpc-status-details-bin"],
};

/**
 * Serves gRPC over HTTP/2, either on a port of its own, `listen: [grpc({ port: 9090 })]`, or on that of HTTP,
 * `http({ port: 8080, protocols: [grpc()] })`, where it answers gRPC-Web as well; the options of the port are those of `http` then.
 *
 * Messages of protobuf contracts travel as protobuf, those of other contracts as JSON (`application/grpc+json`), which only Flotilla's
 * own clients speak.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function grpc(options: GrpcServerOptions = {}): Listener & HttpProtocol {
  const settings = settle(options);
  return {
    protocol: "grpc",
    name: "grpc",
    scheme: "grpc",
    corsHeaders,
    listen: (services, root) => GrpcListening.open(settings, services, root),
    mount: (services, root, parts) => new MountedGrpc(settings, services, root, parts),
  };
}

class GrpcListening implements Listening {
  readonly protocol = "grpc";
  readonly #settings: GrpcSettings;
  readonly #scope: CancelContext;
  readonly #mounted: MountedGrpc;
  readonly #server: Http2Server | Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sockets = new Set<Socket>();
  #address = "";
  #discouraging = false;
  #drained: Promise<void> | undefined;

  private constructor(settings: GrpcSettings, services: readonly Service[], root: Context) {
    this.#settings = settings;
    this.#scope = withCancel(root);
    this.#mounted = new MountedGrpc(settings, services, this.#scope, undefined);
    const { maxConcurrentStreams, maxHeaderBytes, handshakeTimeoutMs, tls } = settings;
    const common = { maxSessionMemory, settings: { maxConcurrentStreams, maxHeaderListSize: maxHeaderBytes } };
    this.#server =
      tls === undefined
        ? createServer(common)
        : createSecureServer({ ...common, handshakeTimeout: handshakeTimeoutMs, ...tls });
    this.#server.maxConnections = settings.maxConnections;
    this.#server.on("connection", (socket: Socket) => this.#connected(socket));
    this.#server.on("session", (session) => this.#opened(session));
    // A session that breaks ends its streams, which end their calls.
    this.#server.on("sessionError", () => {});
    this.#server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      if (!this.#mounted.stream(stream, headers)) refuseHttp(stream, 415);
    });
  }

  /** Cuts connections that say nothing of HTTP/2, as node:http2 never does. */
  #connected(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
  }

  #opened(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    const { clock } = this.#scope;
    const silent = clock.schedule(this.#settings.handshakeTimeoutMs, () => session.destroy());
    silent.unref();
    // The client's settings are the first thing it has to say.
    session.once("remoteSettings", () => silent.cancel());
    session.on("close", () => {
      silent.cancel();
      this.#sessions.delete(session);
    });
    keepalive(session, this.#settings.keepalive, clock);
  }

  static async open(settings: GrpcSettings, services: readonly Service[], root: Context): Promise<GrpcListening> {
    const listening = new GrpcListening(settings, services, root);
    await listening.#bind();
    return listening;
  }

  #bind(): Promise<void> {
    const { port, host, tls, advertise } = this.#settings;
    const server = this.#server;
    return new Promise((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException): void => {
        const why =
          error.code === "EADDRINUSE" ? "the port is in use: choose another, or 0 for a free one" : error.message;
        reject(new Error(`grpc: cannot listen on ${host}:${port}: ${why}`, { cause: error }));
      };
      server.once("error", failed);
      server.listen(port, host, () => {
        server.off("error", failed);
        const bound = server.address() as AddressInfo;
        const address = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
        this.#address = advertise ?? `${tls === undefined ? "grpc" : "grpcs"}://${address}:${bound.port}`;
        resolve();
      });
    });
  }

  get address(): string {
    return this.#address;
  }

  get inFlight(): number {
    return this.#mounted.inFlight;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  discourage(): void {
    if (this.#discouraging) return;
    this.#discouraging = true;
    // Nothing of GOAWAY yet: it refuses what is on its way, and clients that hear of the registry leave by themselves.
    this.#mounted.discourage();
  }

  drain(): Promise<void> {
    this.discourage();
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    await acceptWaiting();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // GOAWAY with the last stream that was taken in: clients know that later ones were not, and open another connection. One that promised
    // to take all further streams would lose them, for nghttp2 ignores what comes after any GOAWAY.
    for (const session of this.#sessions) session.close();
    await this.#mounted.drain();
    await closed;
  }

  async close(cause?: unknown): Promise<void> {
    const drained = this.drain();
    this.#scope.cancel(cause);
    // Cancelled calls answer in the next turn, and HTTP/2 sends in the one after; what has not gone by then is cut.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    for (const session of this.#sessions) session.destroy();
    for (const socket of this.#sockets) socket.destroy();
    await drained;
  }
}
