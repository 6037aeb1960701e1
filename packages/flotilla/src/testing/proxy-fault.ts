import { type Distribution, distributionOf } from "../clock/distribution.ts";
import type { InjectedFault } from "../resilience/faults/call-fault.ts";

/** Which way bytes go. */
export type Direction = "toServer" | "toClient";

/**
 * What goes wrong with connections: which of them, which way, and how. What is given goes wrong together; of `abort`,
 * `reset`, `blackhole` and `refuse` one can be given.
 */
export interface ProxyFault {
  /** Which way. Default both. A blackhole in one direction makes a connection half open. */
  readonly direction?: Direction;
  /** Connections that are open when the fault is injected, or those that come after. Default all. */
  readonly connections?: "open" | "new";
  /** Share of these connections, drawn by chance, 0 to 1. Default 1. */
  readonly share?: number;
  /** How late each way, milliseconds, 0 or more; or drawn for each piece that arrives. Order is kept. Default 0. */
  readonly latencyMs?: number | Distribution;
  /** What a connection carries each way, bytes a second, above 0. Default: without limit. */
  readonly bytesPerSecond?: number;
  /**
   * Sends no more at once than so many bytes, a whole number above 0; the receiver may still find several such pieces
   * together. Default: as they come.
   */
  readonly chunkBytes?: number;
  /**
   * Share of the pieces that arrive which are lost, and repeated after `retransmitMs`, as TCP does: they and all behind them
   * stall. 0 to below 1. Default 0.
   */
  readonly loss?: number;
  /** Wait before what was lost is repeated, milliseconds; doubles each time it is lost again, up to a minute. Default 200. */
  readonly retransmitMs?: number;
  /** Share of the pieces sent on in which one bit is turned, 0 to 1. Default 0. */
  readonly corrupt?: number;
  /** Nothing gets through any more, not even the end of the connection. Healed, all that was held back arrives. */
  readonly blackhole?: boolean;
  /** Connections are closed at both ends. */
  readonly abort?: boolean;
  /** Connections are reset (RST) at both ends. */
  readonly reset?: boolean;
  /**
   * So many bytes pass in the direction, counted from the injection, before `abort`, `reset` or `blackhole` strikes; 0: the
   * first that comes does not. A whole number. Default: they strike at once.
   */
  readonly afterBytes?: number;
  /**
   * Nobody listens: connecting is refused, which the proxy cannot count. Open connections stay. Another program could take
   * the port meanwhile.
   */
  readonly refuse?: boolean;
}

/** A fault on connections, until it is healed. */
export interface InjectedProxyFault extends Omit<InjectedFault<ProxyFault>, "heal"> {
  /** Takes it away: at once, but for `refuse`, after which the promise waits until the proxy listens again. Idempotent. */
  heal(): Promise<void>;
}

/** How a connection is ended. */
export type Ending = "abort" | "reset" | "blackhole";

/** The fault with every default filled in. */
export interface SettledProxyFault {
  readonly directions: ReadonlySet<Direction>;
  readonly open: boolean;
  readonly new: boolean;
  readonly share: number;
  readonly latency: Distribution | undefined;
  readonly bytesPerMs: number;
  readonly chunkBytes: number;
  readonly loss: number;
  readonly retransmitMs: number;
  readonly corrupt: number;
  readonly ending: Ending | undefined;
  /** -1: at once. */
  readonly afterBytes: number;
  readonly refuse: boolean;
}

const directions: readonly Direction[] = ["toServer", "toClient"];
const endings: readonly Ending[] = ["abort", "reset", "blackhole"];
const effects = ["latencyMs", "bytesPerSecond", "chunkBytes", "loss", "corrupt"] as const;

/** @throws RangeError or TypeError when an option is not legal, naming it. */
export function settleProxyFault(fault: ProxyFault): SettledProxyFault {
  const { direction, connections, share = 1, latencyMs, bytesPerSecond = Infinity, chunkBytes = Infinity } = fault;
  const { loss = 0, retransmitMs = 200, corrupt = 0, afterBytes, refuse = false } = fault;
  const need = (holds: boolean, name: keyof ProxyFault, legal: string): void => {
    if (!holds) throw new RangeError(`faultProxy: ${name} must be ${legal}, got ${JSON.stringify(fault[name])}`);
  };
  need(direction === undefined || directions.includes(direction), "direction", '"toServer" or "toClient"');
  need(connections === undefined || connections === "open" || connections === "new", "connections", '"open" or "new"');
  need(share >= 0 && share <= 1, "share", "from 0 to 1");
  if (typeof latencyMs === "number") need(latencyMs >= 0 && latencyMs < Infinity, "latencyMs", "0 or more and finite");
  need(bytesPerSecond > 0, "bytesPerSecond", "above 0");
  need(
    chunkBytes === Infinity || (Number.isInteger(chunkBytes) && chunkBytes > 0),
    "chunkBytes",
    "a whole number above 0",
  );
  need(loss >= 0 && loss < 1, "loss", "from 0 to below 1");
  need(retransmitMs > 0 && retransmitMs < Infinity, "retransmitMs", "above 0 and finite");
  need(corrupt >= 0 && corrupt <= 1, "corrupt", "from 0 to 1");
  need(
    afterBytes === undefined || (Number.isInteger(afterBytes) && afterBytes >= 0),
    "afterBytes",
    "a whole number, 0 or more",
  );
  const given = endings.filter((name) => fault[name] === true);
  const what = [...given, ...(refuse ? ["refuse"] : [])];
  if (what.length > 1) throw new TypeError(`faultProxy: a connection ends in one way: ${what.join(" or ")}`);
  if (what.length === 0 && effects.every((name) => fault[name] === undefined)) {
    throw new TypeError(`faultProxy: nothing goes wrong: give one of ${[...effects, ...endings, "refuse"].join(", ")}`);
  }
  if (afterBytes !== undefined && given.length === 0) {
    throw new TypeError(`faultProxy: afterBytes says when a connection ends: it needs one of ${endings.join(", ")}`);
  }
  if (refuse && Object.keys(fault).length > 1) {
    throw new TypeError("faultProxy: refuse is for all connections that are not open yet: it takes no other option");
  }
  return {
    directions: new Set(direction === undefined ? directions : [direction]),
    open: connections !== "new",
    new: connections !== "open",
    share,
    latency: latencyMs === undefined ? undefined : distributionOf(latencyMs),
    bytesPerMs: bytesPerSecond / 1000,
    chunkBytes,
    loss,
    retransmitMs,
    corrupt,
    ending: given[0],
    afterBytes: afterBytes ?? -1,
    refuse,
  };
}
