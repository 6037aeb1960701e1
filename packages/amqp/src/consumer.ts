import type { Listener, Service } from "flotilla/endpoint";
import type { WireOptions } from "flotilla/wire";
import { type BrokerOptions, settleBroker, whole } from "./broker.ts";
import { Consuming } from "./consuming.ts";
import { settleServer } from "./listener.ts";
import { topologyOf } from "./topology.ts";

/** Options of {@link consumer}. */
export interface ConsumerOptions extends BrokerOptions, Pick<WireOptions, "maxMessageBytes"> {
  /** Where the broker is: `amqp://user:secret@host:5672/vhost`, or `amqps://`. */
  readonly url: string;
  /** Who consumes: each group gets every message, and the processes of a group share them. Names the queue: 1 to 200 letters, digits and `_.:-`. */
  readonly group: string;
  /** Implementations of the contracts whose messages are consumed; what their methods return goes nowhere. */
  readonly serve: readonly Service[];
  /** Messages that this process has in hand at most (prefetch). 1 to 65535. Default 256. */
  readonly maxConcurrentCalls?: number;
  /** What a handler may take where its method does not say, milliseconds, above 0. Default 30000. */
  readonly timeoutMs?: number;
  /** How often a message is handled at most, the first time included, before it goes to the dead letters. 1 to 50. Default 5. */
  readonly maxDeliveries?: number;
  /** How long a message whose handler failed waits before it comes again, whole milliseconds, 1 or more; twice as long each time. Default 1000. */
  readonly retryDelayMs?: number;
  /** The longest such wait, whole milliseconds, 1 or more. Default 60000. */
  readonly maxRetryDelayMs?: number;
  /** Messages in each queue of the group, dead letters included; when full, publishers are refused. 1 to 4294967295. Default 1000000. */
  readonly maxQueueMessages?: number;
}

const defaults = { maxDeliveries: 5, retryDelayMs: 1000, maxRetryDelayMs: 60_000, maxQueueMessages: 1_000_000 };

/**
 * Consumes the one-way messages, commands or events, that {@link publisher} publishes; give it to a host to `listen`. A message is acknowledged when
 * its handler has ended well: at least once. One whose handler fails comes again, later each time, until it goes to the queue
 * `GROUP.dead` with the reason in its headers; one that no handler could ever take (unreadable, not valid, not served, or failed for
 * good) goes there at once.
 *
 * ```ts
 * await host({ name: "billing", listen: [consumer({ url, group: "billing", serve: [implement(CargoEvents, new Billing())] })] }).run();
 * ```
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function consumer(options: ConsumerOptions): Listener {
  const { group, serve } = options;
  const { maxDeliveries, retryDelayMs, maxRetryDelayMs, maxQueueMessages } = { ...defaults, ...options };
  whole("consumer", { retryDelayMs, maxRetryDelayMs, maxQueueMessages });
  if (!(Number.isInteger(maxDeliveries) && maxDeliveries >= 1 && maxDeliveries <= 50)) {
    throw new TypeError(`consumer: maxDeliveries must be a whole number from 1 to 50, got ${maxDeliveries}`);
  }
  if (!/^[\w.:-]{1,200}$/.test(group) || group.startsWith("amq.")) {
    throw new TypeError(`consumer: group must be 1 to 200 letters, digits and "_.:-", got ${JSON.stringify(group)}`);
  }
  if (serve.length === 0) throw new TypeError("consumer: serve must not be empty");
  const broker = settleBroker("consumer", options.url, options);
  const wire = settleServer("consumer", options);
  const topology = topologyOf(group, maxDeliveries, retryDelayMs, maxRetryDelayMs, maxQueueMessages);
  return {
    protocol: "amqp",
    async listen(_services, root) {
      const opened = new Consuming(broker, wire, topology, serve, root);
      await opened.open();
      return opened;
    },
  };
}
