import type { Http2ServerRequest } from "node:http2";
import type { TLSSocket } from "node:tls";
import { parseTimeout } from "../../../codec/grpc-timeout.ts";
import { parseConnectTimeout } from "../../../codec/timeout.ts";
import type { Context } from "../../../context/context.ts";
import { WatchList } from "../../../context/watch-list.ts";
import type { HttpListenerParts, MountedProtocol } from "../../../endpoint/http-protocol.ts";
import { observersOf } from "../../../endpoint/observer.ts";
import { reportError } from "../../../endpoint/report.ts";
import { type BoundMethod, wrapped } from "../../../endpoint/service.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import type { Request, Response } from "../http-message.ts";
import { malformation } from "../malformation.ts";
import { RequestHead } from "../request-head.ts";
import { sendError } from "./answer.ts";
import { isHost, plainAddress } from "./forwarded.ts";
import { methodsOf, OTHER, UPGRADE, VERBS } from "./methods.ts";
import type { ProxyOptions, ProxySettings } from "./options.ts";
import { ProxyCall } from "./proxy-call.ts";
import { passes, rewriteFields } from "./request-headers.ts";
import type { ProxyState } from "./state.ts";
import { isBelow, parseTarget, type Target, wanders } from "./target.ts";

/** A request that comes round so often is going in circles. */
const MAX_PASSES = 8;

/** A proxy on one listener. */
export class MountedProxy implements MountedProtocol {
  readonly continues = true;
  readonly #settings: ProxySettings;
  readonly #state: ProxyState;
  readonly #methods: ReadonlyMap<string, BoundMethod>;

  constructor(settings: ProxySettings, over: ProxyOptions["over"], root: Context, listener: HttpListenerParts) {
    this.#settings = settings;
    const methods = methodsOf(settings.service).map((info) =>
      wrapped({ info, endpoint: over.endpoint(info) }, settings.around),
    );
    this.#methods = new Map(methods.map((method) => [method.info.name, method]));
    this.#state = {
      settings,
      listener,
      root,
      observers: observersOf([{ name: settings.service, methods }], root),
      young: new WatchList(root.clock),
      kept: { bytes: 0 },
      inFlight: 0,
      onIdle: undefined,
    };
  }

  get inFlight(): number {
    return this.#state.inFlight;
  }

  owns(path: string): boolean {
    return this.#below(path) !== undefined;
  }

  /** The target of a request that is for this proxy before all others. */
  #below(url: string): Target | undefined {
    const { prefix } = this.#settings;
    const target = prefix === "" ? undefined : parseTarget(url);
    return target !== undefined && isBelow(target.path, prefix) ? target : undefined;
  }

  request(req: Request, res: Response): boolean {
    const target = this.#below(req.url!);
    if (target === undefined) return false;
    this.#serve(req, res, target);
    return true;
  }

  unserved(req: Request, res: Response): boolean {
    if (this.#settings.prefix !== "") return false;
    const target = parseTarget(req.url!);
    if (target === undefined) return false;
    this.#serve(req, res, target);
    return true;
  }

  upgrades(req: Request): boolean {
    const { prefix, websockets } = this.#settings;
    if (!websockets || req.headers.upgrade?.toLowerCase() !== WEBSOCKET) return false;
    const target = parseTarget(req.url!);
    return target !== undefined && isBelow(target.path, prefix);
  }

  upgrade(req: Request, res: Response, head: Buffer): void {
    this.#serve(req, res, parseTarget(req.url!)!, head);
  }

  /** @param upgrading - what came after a request that changes the protocol of its connection; undefined for one that does not. */
  #serve(req: Request, res: Response, target: Target, upgrading?: Buffer): void {
    const state = this.#state;
    const settings = this.#settings;
    const head = new RequestHead(req.rawHeaders);
    const refuse = (status: number, error: ServiceError, extra: readonly string[] = []): void =>
      this.#refuse(req, res, head, status, error, extra);
    const malformed = malformation(req, head) ?? misframed(req, head) ?? misleading(target, settings);
    if (malformed !== undefined) {
      const status = malformed === UNSPOKEN ? 501 : 400;
      return refuse(status, new ServiceError("invalid_argument", malformed), CLOSE);
    }
    if (req.method === "TRACE" || req.method === "CONNECT") {
      return refuse(405, new ServiceError("unimplemented", `${req.method} is not passed on`), ALLOW);
    }
    if (upgrading !== undefined && (req.method !== "GET" || hasBody(req, head))) {
      return refuse(400, new ServiceError("invalid_argument", "an upgrade to websocket is a GET without a body"));
    }
    if (
      upgrading === undefined &&
      head.upgrade !== undefined &&
      req.httpVersionMajor === 1 &&
      !IGNORED_UPGRADES.test(head.upgrade)
    ) {
      const message = `an upgrade to ${head.upgrade.slice(0, 64)} is not carried here`;
      return refuse(501, new ServiceError("unimplemented", message));
    }
    if (state.inFlight >= settings.maxConcurrentRequests) {
      const limit = `the proxy is at its limit of ${settings.maxConcurrentRequests} concurrent requests`;
      return refuse(503, new ServiceError("unavailable", limit));
    }
    const { headers } = req;
    const asked = target.authority ?? (headers[":authority"] as string | undefined) ?? headers.host;
    if (asked !== undefined && !isHost(asked)) {
      return refuse(400, new ServiceError("invalid_argument", "header host is no name of a server"), CLOSE);
    }
    if (headers.via !== undefined && passes(headers.via, settings.via) >= MAX_PASSES) {
      return refuse(508, new ServiceError("failed_precondition", `the request has come round ${MAX_PASSES} times`));
    }
    if (req.method === "OPTIONS" && headers["max-forwards"] === "0") {
      res.writeHead(204, [...ALLOW]);
      res.end();
      return;
    }
    const peer = plainAddress(req.socket.remoteAddress);
    let timeoutMs = settings.timeoutMs;
    let trusted: boolean;
    try {
      trusted = settings.trusts(peer);
      if (head.timeout !== undefined) timeoutMs = Math.min(timeoutMs, parseConnectTimeout(head.timeout));
      const grpc = headers["grpc-timeout"];
      if (grpc !== undefined) timeoutMs = Math.min(timeoutMs, parseTimeout(String(grpc)));
    } catch (error) {
      const wrong = ServiceError.from(error);
      if (wrong.code === "internal") reportError(state.root, wrong);
      return refuse(wrong.code === "internal" ? 500 : 400, wrong);
    }
    const contentLength = head.transferEncoding === undefined ? head.contentLength : undefined;
    const fields = rewriteFields(req.rawHeaders, {
      origin: {
        peer,
        host: asked,
        // What stands for the socket of HTTP/2 knows its properties only when they are read.
        proto: (req.socket as Partial<TLSSocket>).encrypted === true ? "https" : "http",
        prefix: settings.rewrite === settings.prefix ? "" : settings.prefix,
      },
      trusted,
      via: settings.via,
      version: req.httpVersionMajor === 1 ? req.httpVersion : "2",
      contentLength,
    });
    const below = target.path.slice(settings.prefix.length);
    // What was the prefix itself is the root of what stands in its place.
    const path = settings.rewrite + below || "/";
    const admitted = {
      method: this.#methods.get(upgrading === undefined ? req.method! : UPGRADE) ?? this.#methods.get(OTHER)!,
      head,
      target: path + target.query,
      authority: settings.host === "keep" ? asked : undefined,
      hasBody: hasBody(req, head),
      upgrading,
      // HTTP/1.0 knows no interim answers (RFC 9110, section 10.1.1).
      expects: head.expect?.toLowerCase() === "100-continue" && req.httpVersion !== "1.0",
      fields,
      timeoutMs,
    };
    new ProxyCall(state, admitted, req, res).start();
  }

  #refuse(
    req: Request,
    res: Response,
    head: RequestHead,
    status: number,
    error: ServiceError,
    extra: readonly string[],
  ): void {
    // Only HTTP/2's request insists on being heard.
    req.on("error", () => {});
    const state = this.#state;
    const own = extra === CLOSE && req.httpVersionMajor > 1 ? [] : extra;
    const responseBytes = sendError(state, req, res, head, error, status, own);
    const { observers, root } = state;
    observers.get(undefined)?.begin(undefined, root, root.clock.now()).end({
      method: undefined,
      protocol: "proxy",
      code: error.code,
      status,
      requestBytes: 0,
      responseBytes,
      durationMs: 0,
      error,
    });
  }

  drain(): Promise<void> {
    const state = this.#state;
    if (state.inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const before = state.onIdle;
      state.onIdle = () => {
        before?.();
        resolve();
      };
    });
  }
}

/** What was framed wrongly leaves nothing certain about where the next request begins. */
const CLOSE = ["connection", "close"];

const ALLOW: readonly string[] = ["allow", VERBS.join(", ")];

const WEBSOCKET = "websocket";

const UNSPOKEN = "only the transfer-encoding chunked is spoken";

/** Offers that a server may pass over: the request is answered as it is. */
const IGNORED_UPGRADES = /^(?:h2c|tls\/[\d.]+|http\/[\d.]+)(?:\s*,|$)/i;

/** A framing that two servers could read in two ways (RFC 9112, section 6.3). */
function misframed(req: Request, head: RequestHead): string | undefined {
  if (req.httpVersionMajor > 1) return undefined;
  const { transferEncoding, contentLength } = head;
  if (transferEncoding === undefined) {
    return contentLength === undefined || /^\d+$/.test(contentLength)
      ? undefined
      : "header content-length is no number";
  }
  if (contentLength !== undefined) return "there are both content-length and transfer-encoding";
  return transferEncoding.toLowerCase() === "chunked" ? undefined : UNSPOKEN;
}

/** A path that could lead elsewhere than it seems to. */
function misleading({ path, query }: Target, { prefix, rewrite }: ProxySettings): string | undefined {
  if (path.includes("#") || query.includes("#")) return "the request target has a fragment";
  return (prefix !== "" || rewrite !== "") && wanders(path)
    ? "the path has segments . or .., however written"
    : undefined;
}

function hasBody(req: Request, head: RequestHead): boolean {
  if (req.httpVersionMajor > 1) return !(req as unknown as Http2ServerRequest).stream.endAfterHeaders;
  return head.transferEncoding !== undefined || Number(head.contentLength ?? 0) > 0;
}
