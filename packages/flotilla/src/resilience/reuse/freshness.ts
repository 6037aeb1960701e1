/**
 * How long an answer may be given again, by its field `cache-control` (RFC 9111, section 5.2.2), milliseconds; below 0 when it must not
 * be kept, undefined when the field says nothing of it.
 */
export function freshnessOf(cacheControl: string | undefined): number | undefined {
  if (cacheControl === undefined) return undefined;
  let freshMs: number | undefined;
  for (const part of cacheControl.toLowerCase().split(",")) {
    const directive = part.trim();
    if (directive === "no-store" || directive === "no-cache" || directive.startsWith("no-cache=")) return -1;
    const seconds = /^max-age="?(\d{1,10})"?$/.exec(directive)?.[1];
    if (seconds !== undefined) freshMs = Number(seconds) * 1000;
  }
  return freshMs;
}
