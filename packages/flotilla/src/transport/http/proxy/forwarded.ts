import { isIPv6 } from "node:net";

/** Whom a request came from, and what for. */
export interface Origin {
  /** Address of the client, without port. */
  readonly peer: string;
  /** What it called the server; undefined when it did not say. */
  readonly host: string | undefined;
  readonly proto: "http" | "https";
  /** What of the path was cut off. */
  readonly prefix: string;
}

/** Whether a field, its name in lower case, tells where a request came from. Servers of old confuse `_` and `-`. */
export function tellsOrigin(name: string): boolean {
  const plain = name.includes("_") ? name.replaceAll("_", "-") : name;
  return plain === "forwarded" || plain === "x-real-ip" || plain.startsWith("x-forwarded-");
}

/** What a proxy before us has said of the origin, by name in lower case; several values of a name are one list. */
export type Said = ReadonlyMap<string, string>;

const nothing: Said = new Map();

/**
 * Adds what is known of the origin: `Forwarded` (RFC 7239) and the fields it came to replace. Where a proxy before us is believed, lists go
 * on and what it said of the first hop stays.
 */
export function addOrigin(headers: string[], { peer, host, proto, prefix }: Origin, said = nothing): void {
  const listed = (name: string, own: string): void => {
    const before = said.get(name);
    headers.push(name, before === undefined || before === "" ? own : `${before}, ${own}`);
  };
  listed("x-forwarded-for", peer);
  const first = said.get("x-forwarded-host") ?? host;
  if (first !== undefined) headers.push("x-forwarded-host", first);
  headers.push("x-forwarded-proto", said.get("x-forwarded-proto") ?? proto);
  const cut = (said.get("x-forwarded-prefix") ?? "") + prefix;
  if (cut !== "") headers.push("x-forwarded-prefix", cut);
  const node = isIPv6(peer) ? `"[${peer}]"` : peer;
  const named = host === undefined ? "" : `;host="${host}"`;
  listed("forwarded", `for=${node}${named};proto=${proto}`);
  for (const [name, value] of said) if (!OWN.has(name)) headers.push(name, value);
}

const OWN: ReadonlySet<string> = new Set([
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-prefix",
  "x-forwarded-proto",
]);

/** The address of a peer as one writes it: an IPv4 address that came over an IPv6 socket is an IPv4 address. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return "unknown";
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address) ? address.slice("::ffff:".length) : address;
}

/** What may stand in `Host` (RFC 3986, section 3.2.2): nothing that would mean something in another field. */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d*)?$/i;

/** Whether a value of `Host` can be passed on. */
export function isHost(value: string): boolean {
  return HOST.test(value);
}
