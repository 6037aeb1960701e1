import { Resolver } from "node:dns/promises";
import { ServiceError } from "../../errors/service-error.ts";

/** A record of type SRV (RFC 2782). */
export interface DnsSrvRecord {
  /** Host name of the target; `.` or the empty string where the service is decidedly not available. */
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** What a name server said. */
export interface DnsAnswer<T> {
  /** Empty when there is no such name or it has no such records (NXDOMAIN, NODATA). */
  readonly records: readonly T[];
  /** How long the answer may be kept, milliseconds. Undefined where the resolver does not know. */
  readonly ttlMs?: number;
}

/** The questions of one lookup. Each rejects when there is no valid answer (SERVFAIL, REFUSED, nobody answers). */
export interface DnsLookup {
  srv(name: string): Promise<DnsAnswer<DnsSrvRecord>>;
  /** Records of type A (4) or AAAA (6), as text. */
  addresses(name: string, family: 4 | 6): Promise<DnsAnswer<string>>;
}

/** Where {@link dns} gets its answers from. Must not cache beyond what the answers' TTLs allow. */
export interface DnsResolver {
  /** Begins a lookup. When the signal fires, its questions are given up and leave no socket or timer. */
  begin(signal: AbortSignal): DnsLookup;
}

const ABSENT = new Set(["ENOTFOUND", "ENODATA"]);

const remedies: Readonly<Record<string, string>> = {
  ESERVFAIL: "the name server failed at it: see its log and the servers it asks",
  EREFUSED: "the name server refuses to answer for this name: mend the name, or ask another with the servers option",
  ECONNREFUSED: "no name server listens there: start it, or ask another with the servers option",
  ETIMEOUT: "no name server answered in time: see that it runs and the network lets UDP and TCP port 53 through",
  ECANCELLED: "it was given up",
  EBADNAME: "this is no DNS name: labels of 1 to 63 characters with a dot between",
  EBADRESP: "the name server's answer is malformed",
  EFORMERR: "the name server takes the question for malformed",
  ENOTIMP: "the name server does not know this type of question",
};

/**
 * Answers by `node:dns`, that is c-ares: asks the name servers itself, UDP first and TCP for what is too long, without
 * `/etc/hosts`, search domains and cache. It gives the TTL of A and AAAA records and none of SRV records.
 *
 * Each lookup has a resolver of its own: cancelling is by resolver, and only a new one notices that `/etc/resolv.conf`
 * has changed. That costs 50 µs.
 *
 * @throws TypeError when a server is no IP address with or without a port.
 */
export function nodeResolver(servers: readonly string[] | undefined, timeoutMs: number): DnsResolver {
  // c-ares asks each server `tries` times, waiting longer the second time: the second server has its turn within the limit.
  const settings = { timeout: Math.max(1, Math.ceil(timeoutMs / 4)), tries: 2 };
  const make = (): Resolver => {
    const resolver = new Resolver(settings);
    if (servers !== undefined) resolver.setServers(servers);
    return resolver;
  };
  try {
    make();
  } catch (error) {
    const text = `dns: servers must be IP addresses, with or without a port, like 10.0.0.2, 127.0.0.1:5353 or [::1]:53, got ${JSON.stringify(servers)}`;
    throw new TypeError(text, { cause: error });
  }
  return {
    begin(signal) {
      const resolver = make();
      const ask = async <T>(type: string, name: string, asking: () => Promise<T[]>): Promise<T[]> => {
        // What would be asked after `cancel` would not be cancelled.
        signal.throwIfAborted();
        try {
          return await asking();
        } catch (error) {
          const code = (error as NodeJS.ErrnoException).code ?? "";
          if (ABSENT.has(code)) return [];
          const where = resolver.getServers().join(", ") || "no name server";
          const why = remedies[code] ?? (error instanceof Error ? error.message : String(error));
          const text = `dns: cannot look up ${name} (${type}) at ${where}: ${why} (${code})`;
          throw new ServiceError("unavailable", text, { cause: error });
        }
      };
      signal.addEventListener("abort", () => resolver.cancel(), { once: true });
      return {
        async srv(name) {
          return { records: await ask("SRV", name, () => resolver.resolveSrv(name)) };
        },
        async addresses(name, family) {
          const found =
            family === 4
              ? await ask("A", name, () => resolver.resolve4(name, { ttl: true }))
              : await ask("AAAA", name, () => resolver.resolve6(name, { ttl: true }));
          const records = found.map(({ address }) => address);
          // Some versions of Node give the TTL of the first 256 records only.
          const ttls = found.map(({ ttl }) => ttl).filter((ttl) => Number.isFinite(ttl));
          return ttls.length === 0 ? { records } : { records, ttlMs: 1000 * Math.min(...ttls) };
        },
      };
    },
  };
}
