import { parseConnectTimeout } from "../../codec/timeout.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { serveConnectUnary } from "./connect-unary.ts";
import { GOING } from "./going.ts";
import type { Request, Response } from "./http-message.ts";
import { malformation } from "./malformation.ts";
import { refuse } from "./refusal.ts";
import { RequestHead } from "./request-head.ts";
import { RestCall } from "./rest-call.ts";
import type { RestMatch, Router } from "./router.ts";
import type { ServerState } from "./server-call.ts";
import { serveStream } from "./stream-call.ts";

/** What was framed wrongly leaves nothing certain about where the next request begins. */
const CLOSE = ["connection", "close"];

/** Sends each request to the call that serves it; refuses what no call should see. */
export class Dispatcher {
  readonly #state: ServerState;
  readonly #router: Router;
  readonly #unserved: (req: Request, res: Response) => boolean;

  /** @param unserved - offers a request for which nothing is served here to others; whether one has it. */
  constructor(state: ServerState, router: Router, unserved: (req: Request, res: Response) => boolean) {
    this.#state = state;
    this.#router = router;
    this.#unserved = unserved;
  }

  /** Serves one request. Never throws. */
  dispatch(req: Request, res: Response): void {
    const head = new RequestHead(req.rawHeaders);
    const state = this.#state;
    const malformed = malformation(req, head);
    if (malformed !== undefined) {
      return refuse(state, req, res, head, 400, new ServiceError("invalid_argument", malformed), CLOSE);
    }
    if (req.method === "OPTIONS" && state.cors !== undefined && head.origin !== undefined) {
      if (req.headers["access-control-request-method"] !== undefined) {
        req.resume();
        const going = state.discouraging && req.httpVersionMajor === 1;
        return state.cors.preflight(res, head.origin, going ? GOING : []);
      }
    }
    if (state.inFlight >= state.settings.maxConcurrentRequests) {
      const limit = `the server is at its limit of ${state.settings.maxConcurrentRequests} concurrent calls`;
      return refuse(state, req, res, head, 503, new ServiceError("unavailable", limit));
    }
    const url = urlOf(req);
    const mark = url.indexOf("?");
    const path = mark < 0 ? url : url.slice(0, mark);
    const method = this.#router.procedures.get(path);
    if (method !== undefined) {
      if (req.method === "POST") {
        if (method.info.kind === "unary") return serveConnectUnary(state, method, req, res, head, undefined);
        return serveStream(state, method, req, res, head);
      }
      const gettable = method.info.kind === "unary" && method.info.safe;
      if (req.method === "GET" && gettable) {
        return serveConnectUnary(state, method, req, res, head, mark < 0 ? "" : url.slice(mark + 1));
      }
      return this.#notAllowed(req, res, head, gettable ? "POST, GET" : "POST", path);
    }
    const rest = this.#router.findRest(path, verbOf(req));
    if (rest !== undefined)
      return this.#serveRest(rest, req, res, head, path, mark < 0 ? undefined : url.slice(mark + 1));
    if (this.#unserved(req, res)) return;
    refuse(state, req, res, head, 404, new ServiceError("unimplemented", `nothing is served at ${path.slice(0, 256)}`));
  }

  /** Whether there is something for a request, be it not for its verb. */
  serves(req: Request): boolean {
    const path = urlOf(req).split("?", 1)[0]!;
    return this.#router.procedures.has(path) || this.#router.findRest(path, verbOf(req)) !== undefined;
  }

  #serveRest(
    match: RestMatch,
    req: Request,
    res: Response,
    head: RequestHead,
    path: string,
    query: string | undefined,
  ): void {
    const target = match.targets.get(verbOf(req));
    if (target === undefined) {
      const verbs = [...match.targets.keys()].map((verb) => (verb === "GET" ? "GET, HEAD" : verb));
      return this.#notAllowed(req, res, head, verbs.join(", "), path);
    }
    const own = target.method.info.timeoutMs ?? this.#state.settings.timeoutMs;
    let timeoutMs = own;
    if (head.timeout !== undefined) {
      try {
        timeoutMs = Math.min(own, parseConnectTimeout(head.timeout));
      } catch (error) {
        return refuse(this.#state, req, res, head, 400, ServiceError.from(error));
      }
    }
    new RestCall(this.#state, target.method, req, res, head, timeoutMs).start(target.input, match.parameters, query);
  }

  #notAllowed(req: Request, res: Response, head: RequestHead, allow: string, path: string): void {
    const message = `${req.method} is not allowed at ${path.slice(0, 256)}: use ${allow}`;
    refuse(this.#state, req, res, head, 405, new ServiceError("unimplemented", message), ["allow", allow]);
  }
}

/** HEAD is GET without the body (RFC 9110, section 9.3.2); Node leaves the body out. */
function verbOf(req: Request): string {
  return req.method === "HEAD" ? "GET" : req.method!;
}

/** Path and query of what a request asks for. */
export function urlOf(req: Request): string {
  return req.url!.startsWith("/") ? req.url! : originForm(req.url!);
}

/**
 * Path and query of a request target that names the server too (`GET http://host/path`), as a client sends it to a proxy and
 * every server must take it (RFC 9112, section 3.2.2). What is no such target is left as it is and found nowhere.
 */
function originForm(target: string): string {
  const url = /^https?:\/\//i.test(target) ? URL.parse(target) : null;
  return url === null ? target : url.pathname + url.search;
}
