import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { httpStatus } from "../codec/connect-error.ts";
import type { Context } from "../context/context.ts";
import { afterFunc, withTimeout } from "../context/with.ts";
import type { AdminResponse, AdminRoute } from "../endpoint/telemetry-port.ts";
import { ServiceError } from "../errors/service-error.ts";

/** Options of the admin port. */
export interface AdminOptions {
  /** TCP port. Default 0: a free one, found in the log and in the registry (metadata `admin`). */
  readonly port?: number;
  /** Address to bind. Default `127.0.0.1`; probes from outside the machine need `0.0.0.0`. */
  readonly host?: string;
}

/** A condition of readiness: resolves when it holds, throws saying why it does not. */
export type ReadinessCheck = (ctx: Context) => void | Promise<void>;

/** A check may take so long before it counts as failed. */
const CHECK_TIMEOUT_MS = 2000;

/** Largest body of a request to the admin port, bytes. */
const MAX_BODY_BYTES = 65_536;

/** What the probes report. */
export interface Health {
  readonly started: boolean;
  readonly draining: boolean;
  readonly checks: Readonly<Record<string, ReadinessCheck>>;
}

/**
 * The admin port: `/livez` (the event loop turns), `/readyz` (started, not draining, every check holds) and `/startupz`.
 * Liveness asks no dependency: a database that is down is no reason to restart the service.
 */
export class Admin {
  readonly #server: Server;
  #address = "";

  /**
   * @param root - parent of the contexts that checks run under.
   * @param routes - further pages by path.
   */
  constructor(root: Context, health: () => Health, routes: Readonly<Record<string, AdminRoute>> = {}) {
    this.#server = createServer((req, res) => {
      const [path = "", query] = req.url!.split("?", 2);
      const send = ({ status, contentType, body }: AdminResponse): void => {
        res.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body) });
        res.end(body);
      };
      const reply = (status: number, body: object): void =>
        send({ status, contentType: "application/json", body: `${JSON.stringify(body)}\n` });
      if (Object.hasOwn(routes, path)) {
        visit(routes[path]!, req, query).then(send, (error: unknown) => {
          // The rest of a body that is too large is not waited for.
          if (!req.complete) res.setHeader("connection", "close");
          reply(error instanceof ServiceError ? httpStatus(error) : 500, {
            error: error instanceof Error ? error.message : String(error),
          });
        });
        return;
      }
      if (req.method !== "GET" && req.method !== "HEAD") return reply(405, { error: "use GET" });
      if (path === "/livez") return reply(200, { status: "ok" });
      if (path === "/startupz")
        return reply(health().started ? 200 : 503, { status: health().started ? "ok" : "starting" });
      if (path !== "/readyz") {
        const pages = ["/livez", "/readyz", "/startupz", ...Object.keys(routes)].join(", ");
        return reply(404, { error: `nothing is at ${path}: try ${pages}` });
      }
      readiness(root, health()).then(
        (report) => reply(report.status === "ok" ? 200 : 503, report),
        (error: unknown) => reply(503, { status: String(error) }),
      );
    });
    this.#server.headersTimeout = 5000;
    this.#server.maxConnections = 100;
  }

  /** `http://127.0.0.1:9100` once it listens. */
  get address(): string {
    return this.#address;
  }

  /** @throws Error when the port cannot be bound. */
  listen({ port = 0, host = "127.0.0.1" }: AdminOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      // Stays: an error nobody hears would end the process.
      this.#server.on("error", (error) => {
        reject(new Error(`host: cannot open the admin port on ${host}:${port}: ${error.message}`, { cause: error }));
      });
      this.#server.listen(port, host, () => {
        const bound = this.#server.address() as AddressInfo;
        this.#address = `http://${bound.family === "IPv6" ? `[${bound.address}]` : bound.address}:${bound.port}`;
        resolve();
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

async function visit(route: AdminRoute, req: IncomingMessage, query: string | undefined): Promise<AdminResponse> {
  let body = "";
  req.setEncoding("utf8");
  for await (const chunk of req) {
    body += chunk as string;
    if (body.length > MAX_BODY_BYTES) {
      throw new ServiceError("resource_exhausted", `the body is over the limit of ${MAX_BODY_BYTES} bytes`);
    }
  }
  return route({ method: req.method!, query: new URLSearchParams(query), headers: req.headers, body });
}

interface Readiness {
  readonly status: "ok" | "starting" | "draining" | "failing";
  readonly failing?: Readonly<Record<string, string>>;
}

/** What `/readyz` tells. */
export async function readiness(parent: Context, { started, draining, checks }: Health): Promise<Readiness> {
  if (!started) return { status: "starting" };
  if (draining) return { status: "draining" };
  const failing: Record<string, string> = {};
  await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      const ctx = withTimeout(parent, CHECK_TIMEOUT_MS);
      try {
        await Promise.race([check(ctx), late(ctx)]);
      } catch (error) {
        failing[name] = error instanceof Error ? error.message : String(error);
      } finally {
        ctx.cancel();
      }
    }),
  );
  return Object.keys(failing).length === 0 ? { status: "ok" } : { status: "failing", failing };
}

function late(ctx: Context): Promise<never> {
  return new Promise((_resolve, reject) => {
    afterFunc(ctx, () => reject(new Error(`took longer than ${CHECK_TIMEOUT_MS} ms`)));
  });
}
