import type { Context } from "../../../context/context.ts";
import type { WatchList } from "../../../context/watch-list.ts";
import type { HttpListenerParts } from "../../../endpoint/http-protocol.ts";
import type { MethodInfo } from "../../../endpoint/method-info.ts";
import type { MethodObserver } from "../../../endpoint/observer.ts";
import type { Kept } from "./kept-body.ts";
import type { ProxySettings } from "./options.ts";

/** What the requests of one mounted proxy share. */
export interface ProxyState {
  readonly settings: ProxySettings;
  readonly listener: HttpListenerParts;
  /** Parent of every call's context. */
  readonly root: Context;
  /** By method, when calls are observed; undefined as the key for what became no call. */
  readonly observers: ReadonlyMap<MethodInfo | undefined, MethodObserver>;
  /** Calls too young to be watched. */
  readonly young: WatchList;
  /** What is kept of the bodies of requests. */
  readonly kept: Kept;
  inFlight: number;
  /** Called when the last call in flight has ended. */
  onIdle: (() => void) | undefined;
}
