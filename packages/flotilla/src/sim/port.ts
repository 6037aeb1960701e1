import type { MethodInfo } from "../endpoint/method-info.ts";
import type { MetadataRecord } from "../metadata/metadata.ts";
import type { Way } from "../wire/calling.ts";
import type { Wire } from "../wire/message.ts";
import type { Pipe } from "../wire/pipe.ts";
import type { Accepted, Acceptor, Caller } from "../wire/served-call.ts";
import type { Network, Place } from "./network.ts";
import { type Destination, type End, RemoteCall } from "./remote-call.ts";

/** A place where processes run. */
export interface Site extends Place {
  /** What taking in a request costs, milliseconds of a core. */
  readonly receiveMs: number;
  /** What runs there now; `"gone"` when it does not even answer. */
  running(): End | "gone" | undefined;
}

/** An address of the world, and what listens there now. */
export class Port implements Destination {
  place: Place;
  #site: Site | undefined;
  #owner: End | undefined;
  #listening: Acceptor | undefined;

  constructor(address: string) {
    // Nowhere, until something listens there.
    this.place = { name: address.slice(address.indexOf("://") + 3), zone: undefined };
  }

  get receiveMs(): number {
    return this.#site === undefined ? 0 : this.#site.receiveMs;
  }

  process(): End | "gone" | undefined {
    return this.#site?.running();
  }

  acceptor(): Acceptor | undefined {
    return this.#site?.running() === this.#owner ? this.#listening : undefined;
  }

  /** From now on this process listens here. */
  open(site: Site, owner: End, listening: Acceptor): void {
    this.place = this.#site = site;
    this.#owner = owner;
    this.#listening = listening;
  }

  /** It listens no more. */
  close(owner: End): void {
    if (this.#owner === owner) this.#listening = undefined;
  }
}

/** The calls of one process to one address. */
export class Route implements Acceptor, Way {
  readonly #network: Network;
  readonly #from: End;
  readonly #to: Port;

  constructor(network: Network, from: End, to: Port) {
    this.#network = network;
    this.#from = from;
    this.#to = to;
  }

  acceptor(): Acceptor {
    return this;
  }

  accept(method: MethodInfo, headers: MetadataRecord, request: Wire | Pipe<Wire>, caller: Caller): Accepted {
    const call = new RemoteCall(this.#network, this.#from, this.#to, { method, headers, request, caller });
    call.send();
    return call;
  }
}
