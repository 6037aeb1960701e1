import type { Candidate } from "../balance/balancer.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import type { Connection, Connector } from "../endpoint/transport.ts";

/** Connections by address, shared by every service of a channel and kept as long as anybody uses them. */
export class Connections {
  readonly #connector: Connector;
  readonly #open = new Map<string, { readonly connection: Connection; users: number }>();

  constructor(connector: Connector) {
    this.#connector = connector;
  }

  /** Whether the connector can reach the address, judged by its scheme. */
  accepts(address: string): boolean {
    const { protocol } = this.#connector;
    return address.startsWith(`${protocol}://`) || address.startsWith(`${protocol}s://`);
  }

  get size(): number {
    return this.#open.size;
  }

  acquire(address: string): Connection {
    let entry = this.#open.get(address);
    if (entry === undefined) {
      entry = { connection: this.#connector.connect(address), users: 0 };
      this.#open.set(address, entry);
    }
    entry.users++;
    return entry.connection;
  }

  /** The last user gone, the connection finishes its calls and closes. */
  release(address: string): Promise<void> {
    const entry = this.#open.get(address);
    if (entry === undefined || --entry.users > 0) return Promise.resolve();
    this.#open.delete(address);
    return entry.connection.drain();
  }

  async close(): Promise<void> {
    const entries = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(entries.map(({ connection }) => connection.close()));
  }
}

/** An instance as a channel holds it: its connection, the endpoints called over it, and the calls in flight. */
export class Peer implements Candidate {
  instance: Instance;
  inFlight = 0;
  readonly #connection: Connection;
  readonly #endpoints = new Map<MethodInfo, Endpoint>();

  constructor(instance: Instance, connection: Connection) {
    this.instance = instance;
    this.#connection = connection;
  }

  endpoint(method: MethodInfo): Endpoint {
    let endpoint = this.#endpoints.get(method);
    if (endpoint === undefined) {
      endpoint = this.#connection.endpoint(method);
      this.#endpoints.set(method, endpoint);
    }
    return endpoint;
  }
}
