import type { Candidate } from "../balance/balancer.ts";
import type { Context } from "../context/context.ts";
import { Load } from "../contract/load.ts";
import { chain, type Endpoint, type Middleware } from "../endpoint/endpoint.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import type { StateReport } from "../endpoint/state-report.ts";
import type { Connection, Connector } from "../endpoint/transport.ts";

/** Connections by address, shared by every service of a channel and kept as long as anybody uses them. */
export class Connections {
  readonly #connector: Connector;
  readonly #open = new Map<string, { readonly connection: Connection; users: number }>();
  /** Those nobody uses any more, until their calls have ended. */
  readonly #draining = new Set<Connection>();

  constructor(connector: Connector) {
    this.#connector = connector;
  }

  /**
   * The connection to an address: the one there is, else a new one.
   *
   * @throws TypeError when the connector cannot reach the address, judged by its scheme, or refuses it.
   */
  acquire(address: string): Connection {
    let entry = this.#open.get(address);
    if (entry === undefined) {
      const { protocol } = this.#connector;
      if (!address.startsWith(`${protocol}://`) && !address.startsWith(`${protocol}s://`)) {
        throw new TypeError(`address ${address} is not for the client's transport, which is ${protocol}`);
      }
      entry = { connection: this.#connector.connect(address), users: 0 };
      this.#open.set(address, entry);
    }
    entry.users++;
    return entry.connection;
  }

  /** Tells of those that have something to tell. */
  report(to: StateReport): void {
    for (const [address, { connection }] of this.#open) {
      const state = connection.poolState?.();
      if (state !== undefined) to.pool(address, state);
    }
  }

  /** The last user gone, the connection finishes its calls and closes. */
  async release(address: string): Promise<void> {
    const entry = this.#open.get(address);
    if (entry === undefined || --entry.users > 0) return;
    this.#open.delete(address);
    const { connection } = entry;
    this.#draining.add(connection);
    try {
      await connection.drain();
    } finally {
      this.#draining.delete(connection);
    }
  }

  /** Closes every connection, those that are still draining included. */
  async close(): Promise<void> {
    const connections = [...Array.from(this.#open.values(), ({ connection }) => connection), ...this.#draining];
    this.#open.clear();
    await Promise.all(connections.map((connection) => connection.close()));
  }
}

/** How long an instance that cannot be reached is avoided, at first and at most. */
const AVOID_MS = 100;
const AVOID_MAX_MS = 5000;
/** Taken to be out of reach after so many calls in a row without an answer, over so long. */
const SILENT_CALLS = 5;
const SILENT_MS = 2000;

/** What stands around the calls that go to one instance. */
export interface Surroundings {
  readonly use: readonly Middleware[];
  /** The instance is gone, and its calls have ended. */
  readonly leave: () => void;
}

const nothing: Surroundings = { use: [], leave: () => {} };

/** An instance as a channel holds it: its connection, the endpoints called over it, and the calls in flight. */
export class Peer implements Candidate {
  instance: Instance;
  inFlight = 0;
  /** Calls it has refused in a row, before they were begun; 0 while it is up. */
  refusals = 0;
  /** After a refusal: calls go to others until then, on the channel's clock. */
  avoidUntilMs = 0;
  /** Calls in a row that ran out of time before it answered at all, and when the first of them did. */
  unanswered = 0;
  unansweredMs = 0;
  /** Has not answered for long. */
  silent = false;
  warm = false;
  /** False once it has said that it cannot be asked how busy it is. */
  tellsLoad = true;
  #load: Endpoint | undefined;
  readonly #connection: Connection;
  readonly #around: Middleware;
  /** To be called once the instance is gone. */
  readonly leave: () => void;
  /** By the number their target gave the method. */
  readonly #endpoints: (Endpoint | undefined)[] = [];

  /** @param around - every attempt that goes to this instance. */
  constructor(instance: Instance, connection: Connection, around = nothing) {
    this.instance = instance;
    this.#connection = connection;
    this.#around = chain(...around.use);
    this.leave = around.leave;
  }

  /** Whether it has said that it is about to go. */
  get going(): boolean {
    return this.#connection.going === true;
  }

  /** It has answered something. */
  heard(): void {
    if (this.silent) this.avoidUntilMs = 0;
    this.unanswered = 0;
    this.silent = false;
  }

  /** A call ran out of time. @returns whether it may well be out of reach: a network that is parted refuses nothing. */
  late(nowMs: number): boolean {
    if (this.unanswered++ === 0) this.unansweredMs = nowMs;
    this.silent = this.unanswered >= SILENT_CALLS && nowMs - this.unansweredMs >= SILENT_MS;
    return this.silent;
  }

  /** A call goes to it though it is silent: until that has been answered, or for so long, others are left away. */
  asked(nowMs: number): void {
    this.avoidUntilMs = nowMs + AVOID_MAX_MS;
  }

  /** It could not be reached: others are called for a while, longer with each time it goes on. */
  refused(nowMs: number): void {
    this.avoidUntilMs = nowMs + Math.min(AVOID_MAX_MS, AVOID_MS * 2 ** this.refusals++);
  }

  /** Asks it how busy it is; nothing stands around that. */
  probe(ctx: Context): Promise<unknown> {
    this.#load ??= this.#connection.endpoint(Load.methods[0]!);
    return this.#load(ctx, {});
  }

  /** Whether what stands around its calls would refuse one as things stand. */
  refuses(ctx: Context, method: MethodInfo): boolean {
    return this.#around.refuses?.(ctx, method) !== undefined;
  }

  /** @param slot - the number of the method: small, and the same for it every time. */
  endpoint(method: MethodInfo, slot: number): Endpoint {
    return (this.#endpoints[slot] ??= this.#around(this.#connection.endpoint(method), method));
  }
}
