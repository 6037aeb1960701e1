import type { MethodInfo } from "../endpoint/method-info.ts";
import type { MetadataRecord } from "../metadata/metadata.ts";
import type { Wire } from "../wire/message.ts";
import type { Pipe } from "../wire/pipe.ts";
import type { Accepted, Acceptor, Caller } from "../wire/served-call.ts";
import type { Network, Place } from "./network.ts";
import { type Destination, type End, RemoteCall, type Route } from "./remote-call.ts";

/** A place where processes run. */
export interface Site extends Place {
  /** What taking in a request costs, milliseconds of a core. */
  readonly receiveMs: number;
  /** What runs there now; `"gone"` when it does not even answer. */
  running(): End | "gone" | undefined;
}

/** Where a process listens. */
export class Port implements Destination {
  readonly place: Site;
  /** What takes calls in; undefined before and after it does. */
  listening: Acceptor | undefined;
  readonly #owner: End;

  constructor(owner: End, place: Site) {
    this.#owner = owner;
    this.place = place;
  }

  get receiveMs(): number {
    return this.place.receiveMs;
  }

  process(): End | "gone" | undefined {
    return this.place.running();
  }

  acceptor(): Acceptor | undefined {
    return this.place.running() === this.#owner ? this.listening : undefined;
  }
}

/** The calls of one process to one address. */
export class Line implements Acceptor {
  readonly #network: Network;
  readonly #from: End;
  readonly #route: Route;

  constructor(network: Network, from: End, route: Route) {
    this.#network = network;
    this.#from = from;
    this.#route = route;
  }

  accept(method: MethodInfo, headers: MetadataRecord, request: Wire | Pipe<Wire>, caller: Caller): Accepted {
    const call = new RemoteCall(this.#network, this.#from, this.#route.to, { method, headers, request, caller });
    call.send();
    return call;
  }
}
