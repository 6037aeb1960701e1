import type { DnsAnswer, DnsLookup, DnsResolver, DnsSrvRecord } from "../resolver.ts";

/** A name server in memory. What is not set does not exist; an `Error` is thrown; a promise is waited for. */
export class FakeResolver implements DnsResolver {
  readonly srv = new Map<string, DnsAnswer<DnsSrvRecord> | Error>();
  readonly a = new Map<string, DnsAnswer<string> | Error | Promise<never>>();
  readonly aaaa = new Map<string, DnsAnswer<string> | Error>();
  /** What was asked, in order: `A calc.test`. */
  readonly asked: string[] = [];
  /** Lookups that were given up. */
  aborted = 0;

  begin(signal: AbortSignal): DnsLookup {
    signal.addEventListener("abort", () => this.aborted++);
    return {
      srv: async (name) => this.#answer("SRV", name, this.srv),
      addresses: async (name, family) =>
        family === 4 ? this.#answer("A", name, this.a) : this.#answer("AAAA", name, this.aaaa),
    };
  }

  #answer<T>(
    type: string,
    name: string,
    zone: ReadonlyMap<string, DnsAnswer<T> | Error | Promise<never>>,
  ): DnsAnswer<T> | Promise<DnsAnswer<T>> {
    this.asked.push(`${type} ${name}`);
    const found = zone.get(name) ?? { records: [] };
    if (found instanceof Error) throw found;
    return found;
  }
}

/** An SRV record: `priority weight port name`, as in a zone file. */
export function srv(text: string): DnsSrvRecord {
  const [priority, weight, port, name] = text.split(" ");
  return { priority: Number(priority), weight: Number(weight), port: Number(port), name: name! };
}
