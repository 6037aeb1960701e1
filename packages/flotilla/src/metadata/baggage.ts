import type { Context } from "../context/context.ts";
import { contextKey } from "../context/key.ts";
import { withValue } from "../context/with.ts";
import { serverCallKey } from "./call.ts";

/** Name to value: what travels with a request through every service behind it. */
export type Baggage = ReadonlyMap<string, string>;

const MAX_BYTES = 8192;
const MAX_MEMBERS = 180;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const EMPTY: Baggage = new Map();

const baggageKey = contextKey<Baggage>("flotilla.baggage");

/** The baggage in force: what {@link withBaggage} set, else what the incoming call carried. */
export function baggage(ctx: Context): Baggage {
  const set = ctx.value(baggageKey);
  if (set !== undefined) return set;
  const header = ctx.value(serverCallKey)?.headers.get("baggage");
  return header === undefined ? EMPTY : parseBaggage(header);
}

/**
 * A child with these members added to the baggage in force.
 *
 * @throws TypeError when a name is not a header token, a value is no well-formed string, or the whole exceeds 180 members
 *   or 8192 bytes.
 */
export function withBaggage(ctx: Context, members: Readonly<Record<string, string>>): Context {
  const merged = new Map(baggage(ctx));
  for (const [name, value] of Object.entries(members)) {
    if (!value.isWellFormed()) {
      throw new TypeError(`baggage value of ${JSON.stringify(name)} holds half a surrogate pair`);
    }
    merged.set(checkName(name), value);
  }
  if (merged.size > MAX_MEMBERS || formatBaggage(merged).length > MAX_BYTES) {
    throw new TypeError(`baggage would exceed ${MAX_MEMBERS} members or ${MAX_BYTES} bytes (W3C Baggage)`);
  }
  return withValue(ctx, baggageKey, merged);
}

/** The header to send on: as it came when nothing was added, else formatted anew. Undefined when there is none. */
export function baggageHeader(ctx: Context): string | undefined {
  const set = ctx.value(baggageKey);
  if (set !== undefined) return set.size === 0 ? undefined : formatBaggage(set);
  const header = ctx.value(serverCallKey)?.headers.get("baggage");
  return header !== undefined && header.length > 0 && header.length <= MAX_BYTES ? header : undefined;
}

/**
 * Reads a baggage header (W3C Baggage). Malformed members are skipped and properties after `;` are dropped. Of more than 180
 * members the first 180 count; a header over 8192 characters is ignored whole.
 */
export function parseBaggage(header: string): Baggage {
  const members = new Map<string, string>();
  if (header.length > MAX_BYTES) return members;
  for (const member of header.split(",")) {
    const pair = member.split(";", 1)[0]!;
    const at = pair.indexOf("=");
    if (at < 1) continue;
    const name = pair.slice(0, at).trim();
    if (!TOKEN.test(name)) continue;
    try {
      members.set(name, decodeURIComponent(pair.slice(at + 1).trim()));
    } catch {
      // Not valid percent-encoding: malformed, skipped like any other malformed member.
      continue;
    }
    if (members.size === MAX_MEMBERS) break;
  }
  return members;
}

/**
 * Writes a baggage header, values percent-encoded; half a surrogate pair becomes U+FFFD.
 *
 * @throws TypeError when a name is not a header token.
 */
export function formatBaggage(members: Baggage): string {
  const parts: string[] = [];
  for (const [name, value] of members) parts.push(`${checkName(name)}=${encodeURIComponent(value.toWellFormed())}`);
  return parts.join(",");
}

function checkName(name: string): string {
  if (!TOKEN.test(name)) throw new TypeError(`baggage name ${JSON.stringify(name)} is not a valid token (W3C Baggage)`);
  return name;
}
