import type { IncomingMessage, ServerResponse } from "node:http";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { writeStatus } from "../../codec/grpc-status.ts";
import { parseTimeout } from "../../codec/grpc-timeout.ts";
import { letGo } from "../../codec/reset-stream.ts";
import type { Context } from "../../context/context.ts";
import { WatchList } from "../../context/watch-list.ts";
import type { FinishedCall } from "../../endpoint/finished-call.ts";
import type { HttpListenerParts, MountedProtocol } from "../../endpoint/http-protocol.ts";
import { observersOf } from "../../endpoint/observer.ts";
import type { Service } from "../../endpoint/service.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { type MetadataRecord, newRecord } from "../../metadata/metadata.ts";
import { type Carrier, Http2Carrier } from "./carrier.ts";
import { Health } from "./health.ts";
import { formOf, type ServedMethod, servedMethods } from "./methods.ts";
import type { GrpcSettings } from "./options.ts";
import { Reflection } from "./reflection.ts";
import type { GrpcState } from "./state.ts";
import { StreamCall } from "./stream-call.ts";
import { UnaryCall } from "./unary-call.ts";
import { WebCarrier } from "./web-carrier.ts";

const TYPE = "application/grpc";
const WEB = "application/grpc-web";

/** Serves gRPC on streams of HTTP/2, and gRPC-Web on requests of either version of HTTP. */
export class MountedGrpc implements MountedProtocol {
  readonly #state: GrpcState;
  readonly #methods: ReadonlyMap<string, ServedMethod>;
  readonly #health: Health | undefined;
  readonly #listener: HttpListenerParts | undefined;

  constructor(
    settings: GrpcSettings,
    services: readonly Service[],
    root: Context,
    listener: HttpListenerParts | undefined,
  ) {
    // A service of the same name that is the user's own goes before.
    const own = services.some(({ name }) => name === "grpc.health.v1.Health");
    this.#health = settings.health && !own ? new Health(services, root) : undefined;
    const all = this.#health === undefined ? services : [...services, this.#health];
    this.#methods = servedMethods(settings.reflection ? [...all, ...new Reflection(all).services] : all);
    this.#listener = listener;
    this.#state = {
      settings,
      root,
      observers: observersOf(services, root),
      young: new WatchList(root.clock),
      inFlight: 0,
      onIdle: undefined,
    };
  }

  get inFlight(): number {
    return this.#state.inFlight;
  }

  stream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
    const type = headers["content-type"];
    if (type === undefined || !type.startsWith(TYPE) || type.startsWith(WEB)) return false;
    const carrier = new Http2Carrier(stream);
    // RFC 9113, section 8.3.1: a request without them is malformed, and node lets only those of CONNECT through.
    if (headers[":method"] === "POST")
      this.#serve(carrier, headers, headers[":path"]!, type.slice(TYPE.length), "grpc");
    else refuseHttp(stream, 405, { allow: "POST" });
    return true;
  }

  request(req: IncomingMessage, res: ServerResponse): boolean {
    const type = req.headers["content-type"];
    if (type === undefined || !type.startsWith(WEB) || req.method !== "POST") return false;
    const rest = type.slice(WEB.length);
    const text = rest.startsWith("-text");
    const carrier = new WebCarrier(req, res, text, this.#listener!);
    const suffix = text ? rest.slice("-text".length) : rest;
    this.#serve(carrier, req.headers, req.url!, suffix, "grpc-web");
    return true;
  }

  #serve(carrier: Carrier, headers: MetadataRecord, path: string, suffix: string, protocol: string): void {
    const state = this.#state;
    const { settings } = state;
    if (state.inFlight >= settings.maxConcurrentRequests) {
      const limit = `the server is at its limit of ${settings.maxConcurrentRequests} concurrent calls`;
      return this.#refuse(carrier, protocol, new ServiceError("unavailable", limit));
    }
    const served = this.#methods.get(path);
    if (served === undefined) {
      const message = `nothing is served at ${path.slice(0, 256)}`;
      return this.#refuse(carrier, protocol, new ServiceError("unimplemented", message));
    }
    const form = formOf(served, suffix);
    if (form === undefined) {
      const type = protocol === "grpc" ? TYPE : WEB;
      const forms = served.proto === undefined ? `${type}+json (its contract is no protobuf)` : `${type}, or +json`;
      const message = `content-type ${type}${suffix.slice(0, 64)} is not spoken by ${path}: send ${forms}`;
      return this.#refuse(carrier, protocol, new ServiceError("unimplemented", message));
    }
    const { info } = form.method;
    const unary = info.kind === "unary";
    let timeoutMs = info.timeoutMs ?? (unary ? settings.timeoutMs : Infinity);
    let bad: unknown;
    const asked = headers["grpc-timeout"];
    if (asked !== undefined) {
      try {
        timeoutMs = Math.min(timeoutMs, parseTimeout(String(asked)));
      } catch (error) {
        bad = error;
      }
    }
    if (unary) {
      new UnaryCall(state, form, carrier, headers, protocol, timeoutMs).start(timeoutMs, false, bad);
      return;
    }
    const call = new StreamCall(state, form, carrier, headers, protocol, timeoutMs);
    call.start(timeoutMs, true, bad);
    call.begin();
  }

  /** Answers a request that no call is made of. */
  #refuse(carrier: Carrier, protocol: string, error: ServiceError): void {
    const both = Object.assign(newRecord(), { ":status": "200", "content-type": TYPE });
    writeStatus(error, both);
    carrier.fail(both);
    const { observers, root } = this.#state;
    const call: FinishedCall = {
      method: undefined,
      protocol,
      code: error.code,
      status: 200,
      requestBytes: 0,
      responseBytes: 0,
      durationMs: 0,
      error,
    };
    observers.get(undefined)?.begin(undefined, root, root.clock.now()).end(call);
  }

  discourage(): void {
    this.#health?.discourage();
  }

  drain(): Promise<void> {
    this.#health?.end();
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

/** Answers what is no gRPC: without a status of gRPC, as the specification has it. */
export function refuseHttp(stream: ServerHttp2Stream, status: number, headers: MetadataRecord = {}): void {
  stream.on("error", () => {});
  stream.respond({ ":status": status, ...headers }, { endStream: true });
  if (!stream.readableEnded) setImmediate(letGo, stream);
}
