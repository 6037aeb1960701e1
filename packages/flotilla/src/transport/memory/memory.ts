import type { Connector, Listener } from "../../endpoint/transport.ts";
import { Calling } from "../../wire/calling.ts";
import { settleWire, type WireOptions } from "../../wire/options.ts";
import { Serving } from "../../wire/serving.ts";

/** A network within the process: listeners by name, and the connector that reaches them. */
export interface MemoryNetwork extends Connector {
  /**
   * A listener with the address `memory://NAME`.
   *
   * @param name - letters, digits, `-`, `_` and `.`; one listener at a time has it.
   * @throws TypeError when the name is not legal.
   */
  listener(name: string): Listener;
}

const NAME = /^[A-Za-z0-9][\w.-]*$/;

/**
 * A transport that never leaves the process, for tests, simulations and services that live together: the real stack without
 * sockets. Messages are serialised, errors cross in their wire form, and a handler gets a context of its own with what
 * metadata carries: deadline, cancellation, trace, baggage and headers. Nothing is shared by reference.
 *
 * ```ts
 * const net = memory();
 * const calculator = await host({ name: "calc", serve: [...], listen: [net.listener("calc")] }).start();
 * const calc = client(Calculator, { discover: ["memory://calc"], transport: net });
 * ```
 *
 * Time is that of the contexts: with `host({ clock })` and `background(clock)` a whole system runs on a VirtualClock.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function memory(options: WireOptions = {}): MemoryNetwork {
  const settings = { ...settleWire("memory", options), counts: false };
  const listening = new Map<string, Serving>();
  return {
    protocol: "memory",
    listener(name) {
      if (!NAME.test(name)) {
        throw new TypeError(`memory: ${JSON.stringify(name)} is not a name: use letters, digits, "-", "_" and "."`);
      }
      return {
        protocol: "memory",
        async listen(services, root) {
          const address = `memory://${name}`;
          if (listening.has(address)) throw new Error(`memory: cannot listen on ${address}: the name is in use`);
          const opened = new Serving(address, settings, services, root, () => listening.delete(address));
          listening.set(address, opened);
          return opened;
        },
      };
    },
    connect(address) {
      if (!address.startsWith("memory://") || !NAME.test(address.slice("memory://".length))) {
        throw new TypeError(`memory: address ${JSON.stringify(address)} must look like memory://name`);
      }
      return new Calling(address, settings, { acceptor: () => listening.get(address) });
    },
  };
}
