import { type Clock, type Random, systemClock, systemRandom } from "flotilla/clock";
import type { Connection, Connector, Endpoint, MethodInfo } from "flotilla/endpoint";
import { Calling } from "flotilla/wire";
import { ClientCalls } from "./client-calls.ts";
import { type ClientSettings, type NatsClientOptions, settleClient } from "./client-options.ts";
import { hostOf } from "./options.ts";

type PoolState = ReturnType<NonNullable<Connection["poolState"]>>;

/**
 * Calls over NATS. The address is that of a broker (`nats://host:port`); it finds who serves, so no registry is needed:
 *
 * ```ts
 * const calc = client(Calculator, { discover: ["nats://127.0.0.1:4222"], transport: natsClient() });
 * ```
 *
 * The connection opens with the first call, which waits for it; once lost it is opened again by itself, and calls fail at once as
 * `unavailable` meanwhile. So do calls that nobody serves.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function natsClient(
  options: NatsClientOptions = {},
  clock: Clock = systemClock,
  random: Random = systemRandom,
): Connector {
  const settings = settleClient("natsClient", options);
  return {
    protocol: "nats",
    connect(address) {
      const servers = [address, ...settings.servers].map((server) => hostOf("natsClient", server));
      return new ClientConnection(address, servers, settings, clock, random);
    },
  };
}

class ClientConnection implements Connection {
  readonly #calls: ClientCalls;
  readonly #calling: Calling;

  constructor(address: string, servers: readonly string[], settings: ClientSettings, clock: Clock, random: Random) {
    this.#calls = new ClientCalls(address, servers, settings, clock, random);
    this.#calling = new Calling(address, settings.wire, this.#calls);
  }

  endpoint(method: MethodInfo): Endpoint {
    return this.#calling.endpoint(method);
  }

  poolState(): PoolState {
    const open = this.#calls.link.up ? 1 : 0;
    return { open, idle: this.#calls.inFlight === 0 ? open : 0, waiting: this.#calls.waiting };
  }

  async drain(): Promise<void> {
    await this.#calling.drain();
    await this.#calls.close();
  }

  async close(): Promise<void> {
    await this.#calling.close();
    await this.#calls.close();
  }
}
