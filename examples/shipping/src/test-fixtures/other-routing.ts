// A routing service as others than the launcher's would run it: another version, other limits, TLS, a password of its
// own.
import { join } from "node:path";
import { sleep } from "flotilla/context";
import type { Implementation } from "flotilla/contract";
import { embedded } from "flotilla/discovery";
import type { Middleware } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { grpc } from "flotilla/grpc";
import { http } from "flotilla/http";
import { serverCall } from "flotilla/metadata";
import { concurrencyLimit } from "flotilla/resilience";
import { host, implement } from "flotilla/service";
import { routingService } from "../routing/service.ts";
import { openScheduleStore } from "../routing/store.ts";
import { readSettings } from "../runtime/settings.ts";
import { NextRouting } from "./next-routing.ts";
import { Probe } from "./probe.ts";

/** What this process is told beside the settings of all, as JSON in OTHER_ROUTING. */
export interface OtherOptions {
  /** Whether it is found where all others are. Default: nowhere. */
  readonly register?: boolean;
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Who does not send it is refused. */
  readonly token?: string;
  readonly headersTimeoutMs?: number;
  readonly timeoutMs?: number;
  readonly maxBodyBytes?: number;
  readonly http2?: boolean;
  /** Calls at a time. */
  readonly limit?: number;
}

const settings = readSettings();
const { register, token, limit, ...options } = JSON.parse(process.env["OTHER_ROUTING"] ?? "{}") as OtherOptions;
const store = openScheduleStore(join(settings.data, "routing.db"));
const routing = routingService(
  store.schedule(settings.seed, () => {
    throw new Error("the others have drawn up the schedule");
  }),
);

const state = { hung: 0, cancelled: 0, made: 0, floods: 0 };
const probe: Implementation<typeof Probe> = {
  hang: async (ctx) => {
    state.hung++;
    try {
      await sleep(ctx, 60_000);
    } finally {
      state.cancelled++;
    }
    return {};
  },
  async *flood(_ctx, { bytes }) {
    const load = "x".repeat(bytes);
    state.floods++;
    try {
      for (let n = 0; ; n++) {
        state.made++;
        yield { n, load };
      }
    } finally {
      state.floods--;
    }
  },
  state: () => ({ ...state, memory: process.memoryUsage().rss }),
};

const authenticate: Middleware = (next) =>
  async function authenticated(ctx, request) {
    if (token !== undefined && serverCall(ctx)?.headers.get("authorization") !== `Bearer ${token}`) {
      throw new ServiceError("unauthenticated", "send the token of this administration");
    }
    return next(ctx, request);
  };

const next: Implementation<typeof NextRouting> = {
  ...routing,
  routes: async (ctx, { preference, ...request }) => {
    const outcome = await routing.routes(ctx, request);
    return outcome.kind === "routes" ? { ...outcome, preference: preference ?? "fast" } : outcome;
  },
};

// When who started it is gone, it goes too.
const orphaned = (): void => void process.kill(process.pid, "SIGTERM");
process.once("disconnect", orphaned);

await host({
  name: "other-routing",
  serve: [implement(NextRouting, next, { use: [authenticate] }), implement(Probe, probe)],
  listen: [http({ port: settings.port, protocols: [grpc()], ...options })],
  use: limit === undefined ? [] : [concurrencyLimit({ limit })],
  ...(register === true && { register: embedded({ dir: settings.registry }) }),
  close: [store],
  onEvent({ event, message }) {
    if (event === "started") process.stdout.write(`${message}\n`);
  },
}).run();
process.off("disconnect", orphaned);
if (process.connected) process.disconnect();
