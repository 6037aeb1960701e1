import type { Context } from "../../../context/context.ts";
import { WatchList } from "../../../context/watch-list.ts";
import type { HttpListenerParts, MountedProtocol } from "../../../endpoint/http-protocol.ts";
import type { MethodInfo } from "../../../endpoint/method-info.ts";
import { serverObserverKey } from "../../../endpoint/observer.ts";
import type { Service } from "../../../endpoint/service.ts";
import { settleWire } from "../../../wire/options.ts";
import { Serving } from "../../../wire/serving.ts";
import { urlOf } from "../dispatch.ts";
import type { Request, Response } from "../http-message.ts";
import { Exchange } from "./exchange.ts";
import type { JsonRpcSettings } from "./options.ts";
import { inFlight, type RpcState } from "./state.ts";

/** Serves JSON-RPC at one path. */
export class MountedJsonRpc implements MountedProtocol {
  readonly #state: RpcState;

  constructor(settings: JsonRpcSettings, services: readonly Service[], root: Context, parts: HttpListenerParts) {
    const { maxBodyBytes, maxConcurrentRequests, timeoutMs } = settings;
    const wire = settleWire("jsonrpc", {
      format: "json",
      maxMessageBytes: maxBodyBytes,
      maxConcurrentCalls: maxConcurrentRequests,
      timeoutMs,
    });
    this.#state = {
      settings,
      root,
      parts,
      // Each call comes from the event loop: there is nothing of a caller's to keep apart, and no endless loop of calls.
      serving: new Serving(
        settings.path,
        { ...wire, apart: false, yields: false, status: 200 },
        services,
        root,
        () => {},
      ),
      methods: named(services, settings),
      observer: root.value(serverObserverKey)?.method(undefined),
      young: new WatchList(root.clock),
      exchanges: 0,
      onIdle: undefined,
    };
  }

  get inFlight(): number {
    return inFlight(this.#state);
  }

  request(req: Request, res: Response): boolean {
    const { path } = this.#state.settings;
    const url = urlOf(req);
    if (!url.startsWith(path) || (url.length > path.length && url[path.length] !== "?")) return false;
    // The listener answers for all that it speaks.
    if (req.method === "OPTIONS" && req.headers["access-control-request-method"] !== undefined) return false;
    new Exchange(this.#state, req, res).start();
    return true;
  }

  drain(): Promise<void> {
    const state = this.#state;
    if (state.exchanges === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const before = state.onIdle;
      state.onIdle = () => {
        before?.();
        resolve();
      };
    });
  }
}

/** @throws TypeError when two methods have one name, or one has a name that JSON-RPC keeps for itself. */
function named(services: readonly Service[], { methodName }: JsonRpcSettings): ReadonlyMap<string, MethodInfo> {
  const methods = new Map<string, MethodInfo>();
  for (const { info } of services.flatMap((service) => service.methods)) {
    const name = methodName(info);
    if (typeof name !== "string" || name === "" || name.startsWith("rpc.")) {
      throw new TypeError(
        `jsonRpc: methodName gives ${JSON.stringify(name)} for ${info.procedure}: a name is not empty, and none begins with rpc.`,
      );
    }
    const other = methods.get(name);
    if (other !== undefined) {
      throw new TypeError(`jsonRpc: ${info.procedure} and ${other.procedure} are both named ${JSON.stringify(name)}`);
    }
    methods.set(name, info);
  }
  return methods;
}
