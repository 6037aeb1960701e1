export type { Discovery, InstanceObserver, Instancer, Registrar, Registration, Watch } from "./discovery.ts";
export { type DnsOptions, dns } from "./dns/dns.ts";
export type { DnsName } from "./dns/question.ts";
export type { DnsAnswer, DnsLookup, DnsResolver, DnsSrvRecord } from "./dns/resolver.ts";
export type { DnsFamily } from "./dns/targets.ts";
export { type EmbeddedOptions, embedded } from "./embedded/embedded.ts";
export { type FixedTargets, fixed } from "./fixed.ts";
export { type SubsetOptions, subset } from "./subset.ts";
