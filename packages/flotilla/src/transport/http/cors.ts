import type { Response } from "./http-message.ts";
import type { CorsOptions } from "./options.ts";

const REQUEST_HEADERS = [
  "authorization",
  "baggage",
  "connect-accept-encoding",
  "connect-content-encoding",
  "connect-protocol-version",
  "connect-timeout-ms",
  "content-encoding",
  "content-type",
  "if-none-match",
  "traceparent",
  "tracestate",
];
const RESPONSE_HEADERS = [
  "connect-accept-encoding",
  "connect-content-encoding",
  "content-encoding",
  "etag",
  "retry-after",
];

/** Answers browsers of other origins. */
export class Cors {
  readonly #origins: ReadonlySet<string> | "*";
  readonly #credentials: boolean;
  readonly #allowHeaders: string;
  readonly #exposeHeaders: string;
  readonly #maxAge: string;

  constructor(options: CorsOptions) {
    this.#origins = options.origins === "*" ? "*" : new Set(options.origins);
    this.#credentials = options.credentials ?? false;
    this.#allowHeaders = [...REQUEST_HEADERS, ...(options.allowHeaders ?? [])].join(", ");
    this.#exposeHeaders = [...RESPONSE_HEADERS, ...(options.exposeHeaders ?? [])].join(", ");
    this.#maxAge = String(options.maxAgeS ?? 7200);
  }

  /** Marks the answer for an origin that may read it; for any other the browser keeps the answer from the page. */
  mark(res: Response, origin: string): void {
    if (this.#origins !== "*") {
      res.setHeader("vary", "origin");
      if (!this.#origins.has(origin)) return;
    }
    res.setHeader("access-control-allow-origin", this.#origins === "*" ? "*" : origin);
    res.setHeader("access-control-expose-headers", this.#exposeHeaders);
    if (this.#credentials) res.setHeader("access-control-allow-credentials", "true");
  }

  /** Answers a preflight request. */
  preflight(res: Response): void {
    res.setHeader("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE");
    res.setHeader("access-control-allow-headers", this.#allowHeaders);
    res.setHeader("access-control-max-age", this.#maxAge);
    res.statusCode = 204;
    res.end();
  }
}
