import { isIPv6 } from "node:net";
import type { Instance } from "../../endpoint/instance.ts";
import { byId, instanceFault } from "../check.ts";
import { isName, type Question } from "./question.ts";
import type { DnsLookup, DnsSrvRecord } from "./resolver.ts";
import { addressesOf, type DnsFamily, type KnownTargets, resolveTargets } from "./targets.ts";

/** What a lookup is made with. */
export interface LookupSettings {
  readonly scheme: string;
  readonly family: DnsFamily;
  readonly resolveTargets: boolean;
  readonly maxInstances: number;
  /** How long an answer is kept that does not say, milliseconds. */
  readonly refreshMs: number;
}

/** What a lookup found. */
export interface Found {
  readonly instances: readonly Instance[];
  /** How long it may be kept, milliseconds. */
  readonly ttlMs: number;
  /** What was wrong with it, in words, one each. */
  readonly faults: readonly string[];
  /** What the targets were found at, or were last: for the next lookup, should one of them fail then. */
  readonly known: KnownTargets;
  /** Some targets' addresses could not be asked for: ask again soon. */
  readonly partial: boolean;
}

/** Weight of a record of weight 0 beside others that have one: "a very small chance of being selected" (RFC 2782). */
const ZERO_WEIGHT = 0.01;

/** Looks a question up. @throws what the resolver throws when nothing is known. */
export function lookUp(
  question: Question,
  lookup: DnsLookup,
  known: KnownTargets,
  settings: LookupSettings,
): Promise<Found> {
  return question.type === "srv"
    ? lookUpSrv(question, lookup, known, settings)
    : lookUpAddresses(question, lookup, settings);
}

async function lookUpAddresses(question: Question, lookup: DnsLookup, settings: LookupSettings): Promise<Found> {
  const { records, ttlMs } = await addressesOf(question.host, settings.family, lookup);
  const draft = new Draft(settings);
  for (const address of records) draft.add(address, question.port, undefined, {});
  return draft.found(ttlMs ?? settings.refreshMs, new Map(), false);
}

/** The records of the lowest priority that lead anywhere: RFC 2782 wants those that follow only when these cannot be reached. */
async function lookUpSrv(
  question: Question,
  lookup: DnsLookup,
  known: KnownTargets,
  settings: LookupSettings,
): Promise<Found> {
  const answer = await lookup.srv(question.host);
  const draft = new Draft(settings);
  let ttlMs = answer.ttlMs ?? settings.refreshMs;
  const remembered = new Map<string, readonly string[]>();
  for (const group of groupsOf(usable(answer.records, draft))) {
    const names = [...new Set(group.map(({ name }) => name))];
    if (names.length > settings.maxInstances) draft.cut();
    const targets = settings.resolveTargets
      ? await resolveTargets(names.slice(0, settings.maxInstances), settings.family, lookup, known)
      : undefined;
    const weighted = group.some(({ weight }) => weight > 0);
    let failure: Error | undefined;
    for (const { name, port, priority, weight } of group) {
      const target = targets?.get(name);
      if (targets !== undefined && target === undefined) continue;
      const hosts = target?.answer.records ?? [name];
      if (target !== undefined) {
        ttlMs = Math.min(ttlMs, target.answer.ttlMs ?? settings.refreshMs);
        if (hosts.length > 0) remembered.set(name, hosts);
        failure ??= target.failure;
        if (target.failure !== undefined) {
          const instead = hosts.length > 0 ? "its last addresses are used" : "it is left out";
          draft.fault(`${target.failure.message}; ${instead}`);
        } else if (hosts.length === 0) draft.fault(`the target ${name} has no address`);
      }
      const share = weighted ? (weight > 0 ? weight : ZERO_WEIGHT) / hosts.length : undefined;
      const metadata = { "dns.target": name, "dns.priority": String(priority) };
      for (const host of hosts) draft.add(host, port, share, metadata);
    }
    if (draft.size > 0) return draft.found(ttlMs, remembered, failure !== undefined);
    // Nothing is known of this group: that is no reason to take the next one.
    if (failure !== undefined) throw failure;
  }
  return draft.found(ttlMs, remembered, false);
}

/** The records that can be used, in an order that does not change from answer to answer. */
function usable(records: readonly DnsSrvRecord[], draft: Draft): DnsSrvRecord[] {
  const kept: DnsSrvRecord[] = [];
  for (const record of records) {
    const name = record.name.toLowerCase().replace(/\.$/, "");
    // The service is decidedly not available at this domain, says RFC 2782.
    if (name === "") continue;
    if (!isName(name)) draft.fault(`the target ${JSON.stringify(name)} is no host name`);
    else if (!(record.port >= 1 && record.port <= 65_535)) draft.fault(`the target ${name} has port ${record.port}`);
    else kept.push({ ...record, name });
  }
  return kept.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.port - b.port));
}

function groupsOf(records: readonly DnsSrvRecord[]): DnsSrvRecord[][] {
  const groups = new Map<number, DnsSrvRecord[]>();
  for (const record of records) {
    const group = groups.get(record.priority);
    if (group === undefined) groups.set(record.priority, [record]);
    else group.push(record);
  }
  return [...groups].sort(([a], [b]) => a - b).map(([, group]) => group);
}

/** Instances on their way into a snapshot: one an address, whatever number of records lead to it. */
class Draft {
  readonly #settings: LookupSettings;
  readonly #instances = new Map<string, Instance>();
  readonly #faults = new Set<string>();

  constructor(settings: LookupSettings) {
    this.#settings = settings;
  }

  get size(): number {
    return this.#instances.size;
  }

  fault(text: string): void {
    this.#faults.add(text);
  }

  /** The limit is reached, and the rest is left out. */
  cut(): void {
    const { maxInstances } = this.#settings;
    this.fault(`there are more than ${maxInstances} instances and the rest is ignored: raise maxInstances`);
  }

  add(host: string, port: number | undefined, weight: number | undefined, metadata: Record<string, string>): void {
    const shown = isIPv6(host) ? `[${host}]` : host;
    const address = `${this.#settings.scheme}://${shown}${port === undefined ? "" : `:${port}`}`;
    const before = this.#instances.get(address);
    const instance: Instance = {
      id: address,
      address,
      ...(weight === undefined ? {} : { weight: weight + (before?.weight ?? 0) }),
      ...(Object.keys(metadata).length === 0 ? {} : { metadata: before?.metadata ?? metadata }),
    };
    const fault = instanceFault(instance);
    if (fault === undefined) this.#instances.set(address, Object.freeze(instance));
    else this.fault(fault);
  }

  found(ttlMs: number, known: KnownTargets, partial: boolean): Found {
    const { maxInstances } = this.#settings;
    let instances = [...this.#instances.values()];
    if (instances.length > maxInstances) {
      // The same ones each time: an answer has its records in any order.
      instances = instances.sort(byId).slice(0, maxInstances);
      this.cut();
    }
    return { instances, ttlMs, faults: [...this.#faults], known, partial };
  }
}
