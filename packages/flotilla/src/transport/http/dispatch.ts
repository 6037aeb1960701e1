import { toConnectError } from "../../codec/connect-error.ts";
import { parseConnectTimeout } from "../../codec/timeout.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { serveConnectUnary } from "./connect-unary.ts";
import { Cors } from "./cors.ts";
import { RequestHead } from "./request-head.ts";
import { problemJson, RestCall } from "./rest-call.ts";
import type { RestMatch, Router } from "./router.ts";
import type { Request, Response, ServerState } from "./server-call.ts";
import { serveStream } from "./stream-call.ts";

/** Sends each request to the call that serves it; refuses what no call should see. */
export class Dispatcher {
  readonly #state: ServerState;
  readonly #router: Router;
  readonly #cors: Cors | undefined;

  constructor(state: ServerState, router: Router) {
    this.#state = state;
    this.#router = router;
    this.#cors = state.settings.cors === undefined ? undefined : new Cors(state.settings.cors);
  }

  /** Serves one request. Never throws. */
  dispatch(req: Request, res: Response): void {
    const head = new RequestHead(req.rawHeaders);
    const malformed = malformation(req, head);
    if (malformed !== undefined)
      return refuse(req, res, 400, new ServiceError("invalid_argument", malformed), ["connection", "close"]);
    if (head.origin !== undefined && this.#cors !== undefined) {
      this.#cors.mark(res, head.origin);
      if (req.method === "OPTIONS" && req.headers["access-control-request-method"] !== undefined)
        return this.#cors.preflight(res);
    }
    const state = this.#state;
    if (state.inFlight >= state.settings.maxConcurrentRequests) {
      const limit = `the server is at its limit of ${state.settings.maxConcurrentRequests} concurrent calls`;
      return refuse(req, res, 503, new ServiceError("unavailable", limit));
    }
    const url = req.url!;
    const mark = url.indexOf("?");
    const path = mark < 0 ? url : url.slice(0, mark);
    const method = this.#router.procedures.get(path);
    if (method !== undefined) {
      if (req.method === "POST") {
        if (method.info.kind === "unary") return serveConnectUnary(state, method, req, res, head, undefined);
        return serveStream(state, method, req, res, head);
      }
      const gettable = method.info.kind === "unary" && method.info.idempotent;
      if (req.method === "GET" && gettable) {
        return serveConnectUnary(state, method, req, res, head, mark < 0 ? "" : url.slice(mark + 1));
      }
      return notAllowed(req, res, gettable ? "POST, GET" : "POST", path);
    }
    const rest = this.#router.findRest(path);
    if (rest !== undefined)
      return this.#serveRest(rest, req, res, head, path, mark < 0 ? undefined : url.slice(mark + 1));
    refuse(req, res, 404, new ServiceError("unimplemented", `nothing is served at ${path.slice(0, 256)}`));
  }

  #serveRest(
    match: RestMatch,
    req: Request,
    res: Response,
    head: RequestHead,
    path: string,
    query: string | undefined,
  ): void {
    const target = match.targets.get(req.method === "HEAD" ? "GET" : req.method!);
    if (target === undefined) return notAllowed(req, res, [...match.targets.keys()].join(", "), path);
    const own = target.method.info.timeoutMs ?? this.#state.settings.timeoutMs;
    let timeoutMs = own;
    if (head.timeout !== undefined) {
      try {
        timeoutMs = Math.min(own, parseConnectTimeout(head.timeout));
      } catch (error) {
        return refuse(req, res, 400, ServiceError.from(error));
      }
    }
    new RestCall(this.#state, target.method, req, res, head, timeoutMs).start(target.input, match.parameters, query);
  }
}

/**
 * What Node's parser lets through and no server should answer: each is a way to make two servers on the path see two different
 * requests (RFC 9112, sections 3.2 and 6.1).
 */
function malformation(req: Request, head: RequestHead): string | undefined {
  if (req.httpVersionMajor === 1) {
    if (req.httpVersionMinor === 0 && head.transferEncoding !== undefined) {
      return "an HTTP/1.0 request cannot have header transfer-encoding";
    }
    if (head.hosts > 1) return "header host stands more than once";
    return undefined;
  }
  return req.httpVersionMajor < 1 ? "the request line has no HTTP version" : undefined;
}

function notAllowed(req: Request, res: Response, allow: string, path: string): void {
  refuse(req, res, 405, new ServiceError("unimplemented", `${req.method} is not allowed at ${path}: use ${allow}`), [
    "allow",
    allow,
  ]);
}

/** What Connect calls unimplemented, REST calls not found. */
function notFound(error: ServiceError): ServiceError {
  return new ServiceError("not_found", error.message);
}

/** Answers without a call: in the form of Connect to who speaks it, else as problem+json. */
function refuse(req: Request, res: Response, status: number, error: ServiceError, extra: readonly string[] = []): void {
  req.on("error", () => {});
  const type = req.headers["content-type"];
  const connect =
    req.headers["connect-protocol-version"] !== undefined || type?.startsWith("application/connect+") === true;
  const body = connect
    ? JSON.stringify(toConnectError(error))
    : problemJson(status === 404 ? notFound(error) : error, status);
  const headers = [...extra, "content-type", connect ? "application/json" : "application/problem+json"];
  headers.push("content-length", String(Buffer.byteLength(body)));
  if (req.httpVersionMajor >= 2 && extra[0] === "connection") headers.splice(0, 2);
  req.resume();
  res.writeHead(status, headers);
  res.end(body);
}
