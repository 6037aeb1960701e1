/** What node:http2 refuses to send more than once, be it a list by its definition. */
export const ONCE: ReadonlySet<string> = new Set([
  "access-control-allow-credentials",
  "access-control-max-age",
  "access-control-request-method",
  "age",
  "authorization",
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-md5",
  "content-range",
  "content-type",
  "date",
  "dnt",
  "etag",
  "expires",
  "from",
  "host",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "range",
  "referer",
  "retry-after",
  "tk",
  "upgrade-insecure-requests",
  "user-agent",
  "x-content-type-options",
]);

/**
 * Names and values in turn as a record, for what takes nothing else. Several values of a name are kept apart; those of what may stand only once
 * become one (RFC 9110, section 5.3), so that the receiver can tell that there were several.
 */
export function toRecord(flat: readonly string[]): Record<string, string | string[]> {
  // Without a prototype: peers may call a field `constructor`.
  const record = Object.create(null) as Record<string, string | string[]>;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!.toLowerCase();
    const value = flat[i + 1]!;
    const present = record[name];
    if (present === undefined) record[name] = value;
    else if (typeof present !== "string") present.push(value);
    else record[name] = ONCE.has(name) ? `${present}, ${value}` : [present, value];
  }
  return record;
}
