import { createServer, type Server, type ServerOptions } from "node:http";
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type SecureServerOptions,
  type ServerHttp2Session,
} from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Clock } from "../../clock/clock.ts";
import { acceptWaiting } from "../../codec/accept-waiting.ts";
import { maxSessionMemory } from "../../codec/session-memory.ts";
import type { CancelContext, Context } from "../../context/context.ts";
import { withCancel } from "../../context/with.ts";
import type { Service } from "../../endpoint/service.ts";
import type { Listener, Listening } from "../../endpoint/transport.ts";
import { Answering } from "./answering.ts";
import type { Request, Response } from "./http-message.ts";
import { type HttpServerOptions, type HttpServerSettings, settle } from "./options.ts";
import { cutWhenParted } from "./parting.ts";
import type { Protocols } from "./protocols.ts";
import type { ServerState } from "./server-call.ts";
import { sniff } from "./sniff.ts";
import { onUpgrade } from "./upgrades.ts";

/**
 * Serves over HTTP: the Connect protocol (curl, browsers and every Connect client can call it) and the REST routes that
 * contracts declare, on HTTP/1.1 and HTTP/2.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function http(options: HttpServerOptions = {}): Listener {
  const settings = settle(options);
  return {
    protocol: "http",
    listen: (services, root) => HttpListening.open(settings, services, root),
  };
}

/** How long connections of HTTP/1.1 are left open once their clients are asked to go, milliseconds. */
const LINGER_MS = 100;

type Http2Handler = (req: Http2ServerRequest, res: Http2ServerResponse) => void;

class HttpListening implements Listening {
  readonly protocol = "http";
  readonly #answering: Answering;
  readonly #state: ServerState;
  readonly #scope: CancelContext;
  readonly #protocols: Protocols;
  readonly #server: Server;
  readonly #http2: Http2Server | undefined;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #unread = new Set<Socket>();
  /** All that are open. Neither of Node's servers closes them all. */
  readonly #sockets = new Set<Socket>();
  #address = "";
  #discouragedAtMs = 0;
  #drained: Promise<void> | undefined;
  /** There is no time to be gentle. */
  #hurried = false;
  #endLinger: (() => void) | undefined;

  private constructor(settings: HttpServerSettings, services: readonly Service[], root: Context) {
    this.#scope = withCancel(root);
    const answering = new Answering(settings, services, this.#scope);
    this.#answering = answering;
    this.#state = answering.state;
    this.#protocols = answering.protocols;
    const { serve, expecting } = answering;
    const upgrades = answering.protocols.upgrades();
    const common = {
      ...(upgrades !== undefined && { shouldUpgradeCallback: upgrades.wants }),
      maxHeaderSize: settings.maxHeaderBytes,
      headersTimeout: settings.headersTimeoutMs,
      connectionsCheckingInterval: Math.max(250, Math.min(5000, settings.headersTimeoutMs / 2)),
      keepAliveTimeout: settings.idleTimeoutMs,
      // The deadline of the call bounds the body of a unary request; a stream may go on for as long as its caller likes.
      requestTimeout: 0,
      maxSessionMemory,
      settings: { maxConcurrentStreams: settings.maxConcurrentStreams, maxHeaderListSize: settings.maxHeaderBytes },
    };
    if (settings.tls !== undefined) {
      this.#server = this.#secure({ ...common, handshakeTimeout: settings.headersTimeoutMs, ...settings.tls }, serve);
      this.#http2 = undefined;
    } else {
      this.#server = createServer(common, serve);
      this.#http2 = settings.http2 ? createHttp2Server(common, serve as unknown as Http2Handler) : undefined;
      if (this.#http2 !== undefined) {
        this.#track(this.#http2);
        this.#protocols.streams(this.#http2);
        sniff(this.#server, this.#http2, this.#unread, settings.headersTimeoutMs);
      }
    }
    if (upgrades !== undefined) this.#server.on("upgrade", onUpgrade(upgrades, serve, root.clock));
    if (expecting !== undefined) {
      this.#server.on("checkContinue", expecting);
      this.#http2?.on("checkContinue", expecting as unknown as Http2Handler);
    }
    this.#server.maxConnections = settings.maxConnections;
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        if (!this.#speaksHttp1) this.#endLinger?.();
      });
    });
  }

  #secure(options: SecureServerOptions & ServerOptions, serve: (req: Request, res: Response) => void): Server {
    let server: Server;
    if (this.#state.settings.http2) {
      const secure = createSecureServer({ ...options, allowHTTP1: true });
      secure.on("request", serve as unknown as Http2Handler);
      this.#track(secure);
      this.#protocols.streams(secure);
      // Before Node 24 it puts its own in the place of these options; all are read when a connection comes.
      const { maxHeaderSize, headersTimeout, connectionsCheckingInterval, keepAliveTimeout, requestTimeout } = options;
      const http1 = { maxHeaderSize, headersTimeout, connectionsCheckingInterval, keepAliveTimeout, requestTimeout };
      // A secure server that also speaks HTTP/1.1 has all that is used here of one.
      server = Object.assign(secure, http1) as unknown as Server;
    } else {
      // node:http2's server would offer HTTP/2 whatever it is told.
      server = createHttpsServer(options, serve);
    }
    return server;
  }

  static async open(settings: HttpServerSettings, services: readonly Service[], root: Context): Promise<HttpListening> {
    const listening = new HttpListening(settings, services, root);
    await listening.#bind();
    return listening;
  }

  #bind(): Promise<void> {
    const { settings } = this.#state;
    const server = this.#server;
    return new Promise((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException): void => {
        const why =
          error.code === "EADDRINUSE" ? "the port is in use: choose another, or 0 for a free one" : error.message;
        reject(new Error(`http: cannot listen on ${settings.host}:${settings.port}: ${why}`, { cause: error }));
      };
      server.once("error", failed);
      server.listen(settings.port, settings.host, () => {
        server.off("error", failed);
        const { address, port, family } = server.address() as AddressInfo;
        const scheme = settings.tls === undefined ? "http" : "https";
        this.#address = settings.advertise ?? `${scheme}://${family === "IPv6" ? `[${address}]` : address}:${port}`;
        resolve();
      });
    });
  }

  #track(server: Http2Server): void {
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      keepWatch(session, this.#state.settings.idleTimeoutMs, this.#state.root.clock);
    });
    // A session that breaks ends its streams, which end their calls.
    server.on("sessionError", () => {});
  }

  get address(): string {
    return this.#address;
  }

  get alsoAt(): readonly string[] {
    // A scheme of its own means a client of its own, which speaks HTTP/2.
    if (!this.#state.settings.http2) return [];
    const schemes = this.#state.settings.protocols.flatMap(({ scheme }) => (scheme === undefined ? [] : [scheme]));
    return schemes.map((scheme) => this.#address.replace(/^http/, scheme));
  }

  get inFlight(): number {
    return this.#answering.inFlight;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  discourage(): void {
    if (this.#state.discouraging) return;
    this.#state.discouraging = true;
    this.#discouragedAtMs = this.#scope.clock.now();
    // Nothing of GOAWAY yet: it refuses what is on its way, and clients that hear of the registry leave by themselves.
    this.#protocols.discourage();
  }

  drain(): Promise<void> {
    this.discourage();
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    const state = this.#state;
    await this.#linger();
    await acceptWaiting();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // GOAWAY with the last stream that was taken in: clients know that later ones were not, and open another connection. One that promised
    // to take all further streams would lose them, for nghttp2 ignores what comes after any GOAWAY.
    for (const session of this.#sessions) session.close();
    for (const socket of this.#unread) socket.setTimeout(LINGER_MS);
    this.#closeIdle();
    if (state.inFlight > 0) {
      await new Promise<void>((resolve) => {
        state.onIdle = resolve;
      });
    }
    await this.#protocols.drain();
    // Answers just written may still be on their way to the socket: connections close themselves once these are flushed.
    this.#closeIdle();
    await closed;
  }

  /**
   * Leaves connections of HTTP/1.1 open for a moment: a client may be sending on one that is idle, and nobody could tell it that this was
   * not read. What is used meanwhile is answered with `connection: close`, which is the only way to end one without loss.
   */
  #linger(): Promise<void> {
    const { clock } = this.#scope;
    const leftMs = this.#discouragedAtMs + LINGER_MS - clock.now();
    if (leftMs <= 0 || this.#hurried || !this.#speaksHttp1) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = clock.schedule(leftMs, () => this.#endLinger?.());
      this.#endLinger = () => {
        timer.cancel();
        this.#endLinger = undefined;
        resolve();
      };
    });
  }

  /** Whether a connection is open that is neither one of HTTP/2 nor silent yet. */
  get #speaksHttp1(): boolean {
    return this.#sockets.size > this.#sessions.size + this.#unread.size;
  }

  #closeIdle(): void {
    // With TLS the server is node:http2's, which has no such method before Node 24.
    (this.#server as Partial<Server>).closeIdleConnections?.();
  }

  async close(cause?: unknown): Promise<void> {
    this.#hurried = true;
    this.#endLinger?.();
    this.discourage();
    const drained = this.drain();
    this.#scope.cancel(cause);
    // Cancelled calls answer in the next turn, and HTTP/2 sends in the one after; what has not gone by then is cut.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    for (const session of this.#sessions) session.destroy();
    for (const socket of this.#sockets) socket.destroy();
    await drained;
    await this.#protocols.close();
  }
}

/**
 * Closes a connection on which nothing has moved for so long, once its streams have ended; one that does not answer as long again is
 * cut: its client is gone.
 */
function keepWatch(session: ServerHttp2Session, idleTimeoutMs: number, clock: Clock): void {
  let asked = false;
  session.setTimeout(idleTimeoutMs);
  session.on("timeout", () => {
    if (asked || session.destroyed) return session.destroy();
    asked = true;
    session.ping(() => {
      asked = false;
    });
    session.setTimeout(idleTimeoutMs);
    session.close();
  });
  session.socket.once("finish", function cut(this: Socket) {
    cutWhenParted(this, clock);
  });
}
