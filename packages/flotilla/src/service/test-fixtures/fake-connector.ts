import type { Context } from "../../context/context.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { Connection, Connector } from "../../endpoint/transport.ts";
import { ServiceError } from "../../errors/service-error.ts";

/** A connection that only notes what is done with it; calls are answered by the connector's `answer`. */
export class FakeConnection implements Connection {
  readonly address: string;
  readonly #connector: FakeConnector;
  state: "open" | "draining" | "closed" = "open";
  calls = 0;
  inFlight = 0;
  readonly #idle: (() => void)[] = [];

  constructor(address: string, connector: FakeConnector) {
    this.address = address;
    this.#connector = connector;
  }

  endpoint(): Endpoint {
    return async (ctx, request) => {
      if (this.state !== "open")
        throw new ServiceError("unavailable", `${this.address} is ${this.state}`, { retry: { unprocessed: true } });
      this.calls++;
      this.inFlight++;
      try {
        return await this.#connector.answer(this.address, ctx, request);
      } finally {
        this.inFlight--;
        if (this.inFlight === 0) for (const resolve of this.#idle.splice(0)) resolve();
      }
    };
  }

  async drain(): Promise<void> {
    this.state = "draining";
    if (this.inFlight > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.state = "closed";
  }

  async close(): Promise<void> {
    this.state = "closed";
  }
}

/** A transport without one. Addresses look like `fake://a`; what is opened is kept in `opened`. */
export class FakeConnector implements Connector {
  readonly protocol = "fake";
  readonly opened: FakeConnection[] = [];
  answer: (address: string, ctx: Context, request: unknown) => unknown;

  constructor(answer: FakeConnector["answer"] = (_address, _ctx, request) => request) {
    this.answer = answer;
  }

  connect(address: string): FakeConnection {
    if (address.includes("bad")) throw new TypeError(`${address} is not an address`);
    const connection = new FakeConnection(address, this);
    this.opened.push(connection);
    return connection;
  }

  /** The connection opened last to an address. */
  to(address: string): FakeConnection {
    const connection = this.opened.findLast((each) => each.address === address);
    if (connection === undefined) throw new Error(`nothing was opened to ${address}`);
    return connection;
  }

  /** Calls by address. */
  get calls(): Record<string, number> {
    const calls: Record<string, number> = {};
    for (const { address, calls: count } of this.opened) calls[address] = (calls[address] ?? 0) + count;
    return calls;
  }
}
