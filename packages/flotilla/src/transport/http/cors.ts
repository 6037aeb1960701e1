import type { HttpProtocol } from "../../endpoint/http-protocol.ts";
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
  "x-request-priority",
];
const RESPONSE_HEADERS = [
  "connect-accept-encoding",
  "connect-content-encoding",
  "content-encoding",
  "etag",
  "location",
  "ratelimit",
  "ratelimit-policy",
  "retry-after",
];

/** What goes with an answer, as a flat list of names and values. */
interface Marks {
  readonly answer: readonly string[];
  readonly preflight: readonly string[];
}

/**
 * Tells browsers which pages may read the answers. It refuses nothing itself: a page of an origin that is not allowed gets
 * no permission, and the browser keeps the answer from it.
 *
 * Source: https://fetch.spec.whatwg.org/#http-cors-protocol
 */
export class Cors {
  readonly #allowed = new Map<string, Marks>();
  /** For all other origins, and for requests that name none: caches must know what the answer depends on there too. */
  readonly #others: Marks;
  readonly #preflight: readonly string[];

  /** @param protocols - further ones that are spoken, with the headers they need. */
  constructor(options: CorsOptions, protocols: readonly HttpProtocol[] = []) {
    const needed = protocols.flatMap(({ corsHeaders }) => (corsHeaders === undefined ? [] : [corsHeaders]));
    const requestHeaders = new Set([...REQUEST_HEADERS, ...needed.flatMap(({ request }) => request)]);
    const responseHeaders = new Set([...RESPONSE_HEADERS, ...needed.flatMap(({ response }) => response)]);
    const credentials = options.credentials ? ["access-control-allow-credentials", "true"] : [];
    const exposed = [
      "access-control-expose-headers",
      [...responseHeaders, ...(options.exposeHeaders ?? [])].join(", "),
    ];
    this.#preflight = [
      "access-control-allow-methods",
      "GET, POST, PUT, PATCH, DELETE",
      "access-control-allow-headers",
      [...requestHeaders, ...(options.allowHeaders ?? [])].join(", "),
      "access-control-max-age",
      String(options.maxAgeS ?? 7200),
    ];
    if (options.origins === "*") {
      const any = ["access-control-allow-origin", "*"];
      this.#others = { answer: [...any, ...exposed], preflight: any };
      return;
    }
    const vary = ["vary", "origin"];
    this.#others = { answer: vary, preflight: vary };
    for (const origin of options.origins) {
      const own = [...vary, "access-control-allow-origin", origin, ...credentials];
      this.#allowed.set(origin, { answer: [...own, ...exposed], preflight: own });
    }
  }

  /** Adds to the headers of an answer what the page at `origin` may do with it. */
  mark(headers: string[], origin: string | undefined): void {
    headers.push(...this.#marks(origin).answer);
  }

  /** Answers a preflight request. */
  preflight(res: Response, origin: string, extra: readonly string[]): void {
    const marks = this.#marks(origin).preflight;
    const allowed = marks.includes("access-control-allow-origin");
    res.writeHead(204, [...marks, ...(allowed ? this.#preflight : []), ...extra]);
    res.end();
  }

  #marks(origin: string | undefined): Marks {
    return (origin === undefined ? undefined : this.#allowed.get(origin)) ?? this.#others;
  }
}
