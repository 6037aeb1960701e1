import type { Clock } from "../../clock/clock.ts";
import { type Random, systemRandom } from "../../clock/random.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { Broadcast } from "../broadcast.ts";
import type { Instancer } from "../discovery.ts";
import { NameWatch, type NameWatchSettings } from "./name-watch.ts";
import { type DnsName, questionOf } from "./question.ts";
import { type DnsResolver, nodeResolver } from "./resolver.ts";
import { type DnsFamily, isFamily } from "./targets.ts";

/** Options of {@link dns}. */
export interface DnsOptions {
  /**
   * Where a service is looked up: a name for all services, in which `{service}` stands for the service's; a name for each
   * service; or a function. A service without a name has no instances. Of a name that begins with an underscore the SRV
   * records count (`_http._tcp.calc.example.com`), of any other the addresses, and it may end with a port (`calc.internal:8080`).
   * Names are absolute: neither search domains nor `/etc/hosts` are looked at. IP addresses and `localhost` need no server.
   */
  readonly name: DnsName;
  /** Which records count. Default `auto`: by the first character of the name, see there. */
  readonly type?: "auto" | "srv" | "address";
  /** Scheme of the addresses. Default `http`. */
  readonly scheme?: string;
  /** Port at addresses whose name has none, 1 to 65535. Default that of the scheme. SRV records have their own. */
  readonly port?: number;
  /**
   * Which addresses of a host count. Default `prefer-ipv4`: those of IPv6 only where there is none of IPv4. With `both`, a
   * host that has two is two instances.
   */
  readonly family?: DnsFamily;
  /**
   * Whether the hosts that SRV records name are looked up too, so that each of their addresses is an instance; else the host
   * name stands in the instance's address. Default true, but false where `scheme` is `https`, whose certificates are for names.
   */
  readonly resolveTargets?: boolean;
  /** Name servers to ask, IP addresses with or without port. Default the system's (`/etc/resolv.conf`), read at each lookup. */
  readonly servers?: readonly string[];
  /** Time between lookups where the answer has no TTL, milliseconds, 10 to 3600000. Default 10000. */
  readonly refreshMs?: number;
  /** Least time between lookups, whatever the TTL, milliseconds, 10 to 3600000. Default 1000, or `refreshMs` if that is less. */
  readonly minRefreshMs?: number;
  /** Longest time between lookups, whatever the TTL, milliseconds, 10 to 86400000. Default 300000, or `refreshMs` if that is more. */
  readonly maxRefreshMs?: number;
  /** How much later than it might a lookup happens at most, as a share of the time, 0 to 1. Default 0.1. */
  readonly jitter?: number;
  /** How long a lookup may take, all its questions together, milliseconds, 10 to 60000. Default 5000. */
  readonly timeoutMs?: number;
  /** Most instances a service may have, 1 to 100000: more are cut off, with an error. Default 1000. */
  readonly maxInstances?: number;
  /** Who answers, in place of the name servers. Default `node:dns`, which gives no TTL for SRV records. */
  readonly resolver?: DnsResolver;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Spreads the lookups. Default: the system's. */
  readonly random?: Random;
}

/**
 * Instances found in the DNS: by SRV records (RFC 2782), or by the A and AAAA records of a name.
 *
 * ```ts
 * dns({ name: "_http._tcp.calc.example.com" });
 * dns({ name: "calc.default.svc.cluster.local:8080" });
 * dns({ name: { "calc.v1.Calculator": "calc.internal:8080" }, servers: ["10.0.0.2"] });
 * ```
 *
 * A lookup is repeated when the least TTL of its answers is over, `refreshMs` where one is not told (of SRV records, and of
 * what does not exist), within the bounds. That a name does not exist (NXDOMAIN, NODATA) is an answer: the empty snapshot. A
 * server that fails or is silent gives an `error`, the last snapshot stands, and the next lookup comes sooner. An id is the
 * address, so it is the same in each lookup and process.
 *
 * Of SRV records the lowest priority that has an instance counts, and no other: failing over to the next one is up to who
 * writes the records. Weights are the instances'; a record of weight 0 beside others weighs 0.01, and the addresses of one host share
 * its weight, where there are weights. `metadata` tells the host (`dns.target`) and the priority (`dns.priority`).
 *
 * Watches of one name share the lookups, and do not keep the process alive by themselves.
 *
 * @throws TypeError or RangeError when an option is not legal, naming it.
 */
export function dns(options: DnsOptions): Instancer {
  const { name, type = "auto", scheme = "http", port, family = "prefer-ipv4", servers } = options;
  const { refreshMs = 10_000, jitter = 0.1, timeoutMs = 5000, maxInstances = 1000 } = options;
  const { clock = systemClock, random = systemRandom, resolveTargets = scheme !== "https" } = options;
  const { minRefreshMs = Math.min(1000, refreshMs), maxRefreshMs = Math.max(300_000, refreshMs) } = options;
  if (!(typeof name === "function" || (typeof name === "string" && name !== "") || isRecord(name))) {
    throw new TypeError("dns: name must be a DNS name, an object of names by service, or a function");
  }
  if (!["auto", "srv", "address"].includes(type)) throw new TypeError("dns: type must be auto, srv or address");
  if (!isFamily(family)) {
    throw new TypeError("dns: family must be prefer-ipv4, prefer-ipv6, ipv4, ipv6 or both");
  }
  if (!/^[a-z][a-z0-9+.-]*$/.test(scheme)) {
    throw new TypeError(`dns: scheme must be one like http or https, got ${JSON.stringify(scheme)}`);
  }
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535)) {
    throw new RangeError(`dns: port must be a whole number from 1 to 65535, got ${port}`);
  }
  if (servers?.length === 0) throw new TypeError("dns: servers must not be empty; leave it out for the system's");
  check("refreshMs", refreshMs, 10, 3_600_000);
  check("minRefreshMs", minRefreshMs, 10, 3_600_000);
  check("maxRefreshMs", maxRefreshMs, 10, 86_400_000);
  if (!(minRefreshMs <= refreshMs && refreshMs <= maxRefreshMs)) {
    const got = `got ${minRefreshMs}, ${refreshMs} and ${maxRefreshMs}`;
    throw new RangeError(`dns: refreshMs must lie between minRefreshMs and maxRefreshMs, ${got}`);
  }
  check("jitter", jitter, 0, 1);
  check("timeoutMs", timeoutMs, 10, 60_000);
  check("maxInstances", maxInstances, 1, 100_000);
  for (const service of servicesOf(name)) {
    try {
      questionOf(service, name, type, port);
    } catch (error) {
      throw new TypeError((error as Error).message, { cause: error });
    }
  }
  const resolver = options.resolver ?? nodeResolver(servers && [...servers], timeoutMs);
  const settings: NameWatchSettings = {
    scheme,
    family,
    resolveTargets,
    maxInstances,
    refreshMs,
    minRefreshMs,
    maxRefreshMs,
    timeoutMs,
    jitter,
    resolver,
    clock,
    random,
  };
  const watches = new Map<string, NameWatch>();

  return {
    watch(service, observer) {
      const question = questionOf(service, name, type, port);
      if (question === undefined) {
        const nowhere = new Broadcast();
        nowhere.update([]);
        return nowhere.add(observer);
      }
      const key = `${question.type} ${question.host} ${question.port}`;
      let watch = watches.get(key);
      if (watch === undefined) {
        watch = new NameWatch(question, settings, () => watches.delete(key));
        watches.set(key, watch);
      }
      return watch.broadcast.add(observer);
    },
  };
}

/** The services whose names are known beforehand: they can be checked at once. */
function servicesOf(name: DnsName): string[] {
  if (typeof name === "string") return name.includes("{service}") ? [] : ["any"];
  return typeof name === "function" ? [] : Object.keys(name);
}

function isRecord(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function check(name: string, value: number, min: number, max: number): void {
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    throw new RangeError(`dns: ${name} must be from ${min} to ${max}, got ${value}`);
  }
}
