import type { Context } from "../../../context/context.ts";
import type { WatchList } from "../../../context/watch-list.ts";
import type { HttpListenerParts } from "../../../endpoint/http-protocol.ts";
import type { MethodInfo } from "../../../endpoint/method-info.ts";
import type { MethodObserver } from "../../../endpoint/observer.ts";
import type { Serving } from "../../../wire/serving.ts";
import type { JsonRpcSettings } from "./options.ts";

/** What the exchanges of one listener share. */
export interface RpcState {
  readonly settings: JsonRpcSettings;
  readonly root: Context;
  readonly parts: HttpListenerParts;
  readonly serving: Serving;
  /** By their names on the wire. */
  readonly methods: ReadonlyMap<string, MethodInfo>;
  /** Told of requests that match no method. */
  readonly observer: MethodObserver | undefined;
  /** Exchanges whose body is still coming in. */
  readonly young: WatchList;
  exchanges: number;
  onIdle: (() => void) | undefined;
}

/** Calls under way, those whose request is still coming in among them. */
export function inFlight({ exchanges, serving }: RpcState): number {
  return Math.max(exchanges, serving.inFlight);
}
