import type { Context } from "../../context/context.ts";
import type { WatchList } from "../../context/watch-list.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { MethodObserver } from "../../endpoint/observer.ts";
import type { GrpcSettings } from "./options.ts";

/** What the calls of one listener share. */
export interface GrpcState {
  readonly settings: GrpcSettings;
  /** Parent of every call's context. */
  readonly root: Context;
  /** By method, when calls are observed; undefined as the key for requests that match none. */
  readonly observers: ReadonlyMap<MethodInfo | undefined, MethodObserver>;
  /** Calls too young to be watched. */
  readonly young: WatchList;
  inFlight: number;
  /** Called when the last call in flight has ended. */
  onIdle: (() => void) | undefined;
}
