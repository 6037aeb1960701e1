import { isIP } from "node:net";
import type { DnsAnswer, DnsLookup } from "./resolver.ts";

/** Which addresses of a host count: see `DnsOptions.family`. */
export type DnsFamily = "prefer-ipv4" | "prefer-ipv6" | "ipv4" | "ipv6" | "both";

const families: Readonly<Record<DnsFamily, readonly (4 | 6)[]>> = {
  "prefer-ipv4": [4, 6],
  "prefer-ipv6": [6, 4],
  ipv4: [4],
  ipv6: [6],
  both: [4, 6],
};

/** Addresses by host name. */
export type KnownTargets = ReadonlyMap<string, readonly string[]>;

/** What is known of one target of SRV records. */
export interface Target {
  /** Where the question failed, the last addresses, if any. */
  readonly answer: DnsAnswer<string>;
  readonly failure?: Error;
}

/** Targets asked for at once. */
const BATCH = 16;

/** Whether a value is one of the {@link DnsFamily}s. */
export function isFamily(value: unknown): boolean {
  return typeof value === "string" && Object.hasOwn(families, value);
}

/**
 * The addresses of a host. An IP address is its own, and `localhost` is the loopback (RFC 6761, section 6.3): nobody is asked.
 * The second family is asked for when there is none of the first, not when the first failed: an answer that did not come
 * must not move the traffic to other addresses.
 */
export async function addressesOf(host: string, family: DnsFamily, lookup: DnsLookup): Promise<DnsAnswer<string>> {
  if (isIP(host) !== 0) return { records: [host], ttlMs: Infinity };
  if (host === "localhost" || host.endsWith(".localhost")) {
    const asked = family === "both" ? families.both : families[family].slice(0, 1);
    return { records: asked.map((version) => (version === 4 ? "127.0.0.1" : "::1")), ttlMs: Infinity };
  }
  if (family === "both") {
    const answers = await Promise.all(families.both.map((version) => lookup.addresses(host, version)));
    return joined(answers);
  }
  const answers: DnsAnswer<string>[] = [];
  for (const version of families[family]) {
    const answer = await lookup.addresses(host, version);
    answers.push(answer);
    if (answer.records.length > 0) break;
  }
  return joined(answers);
}

/** The addresses of the targets of SRV records; of those that cannot be asked for, the last known ones. */
export async function resolveTargets(
  names: readonly string[],
  family: DnsFamily,
  lookup: DnsLookup,
  known: KnownTargets,
): Promise<Map<string, Target>> {
  const targets = new Map<string, Target>();
  const resolve = async (name: string): Promise<void> => {
    try {
      targets.set(name, { answer: await addressesOf(name, family, lookup) });
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      targets.set(name, { answer: { records: known.get(name) ?? [] }, failure });
    }
  };
  for (let i = 0; i < names.length; i += BATCH) await Promise.all(names.slice(i, i + BATCH).map(resolve));
  return targets;
}

/** The TTL of several answers is known when that of each with records is; an absence has none that resolvers tell. */
function joined(answers: readonly DnsAnswer<string>[]): DnsAnswer<string> {
  const records = [...new Set(answers.flatMap((answer) => answer.records))];
  const kept = answers.filter((answer) => answer.records.length > 0 || answer.ttlMs !== undefined);
  if (kept.length === 0 || kept.some(({ ttlMs }) => ttlMs === undefined)) return { records };
  return { records, ttlMs: Math.min(...kept.map(({ ttlMs }) => ttlMs!)) };
}
