/** A request target, taken apart as it came: nothing is decoded, merged or resolved. */
export interface Target {
  readonly path: string;
  /** With its question mark; empty when there is none. */
  readonly query: string;
  /** The server's name, where the target has one; it counts before `Host` (RFC 9112, section 3.2.2). */
  readonly authority: string | undefined;
}

const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/is;

/** @returns undefined for what is no path: `*`, and the host and port of CONNECT. */
export function parseTarget(url: string): Target | undefined {
  let rest = url;
  let authority: string | undefined;
  if (!url.startsWith("/")) {
    const match = ABSOLUTE.exec(url);
    if (match === null) return undefined;
    authority = match[1]!;
    rest = match[2]!.startsWith("/") ? match[2]! : `/${match[2]!}`;
  }
  const mark = rest.indexOf("?");
  return mark < 0
    ? { path: rest, query: "", authority }
    : { path: rest.slice(0, mark), query: rest.slice(mark), authority };
}

const SLASH = String.raw`(?:[/\\]|%2f|%5c)`;
const DOTS = new RegExp(`${SLASH}(?:\\.|%2e){1,2}(?=$|;|%3b|${SLASH})`, "i");

/**
 * Whether a server that resolves the path might find it elsewhere than it seems to lead: it has a segment `.` or `..`, however written.
 * Servers differ in what they take for a slash and when they decode, so that all count.
 */
export function wanders(path: string): boolean {
  return DOTS.test(path);
}

/** A prefix without its last slash: empty for all paths. */
export function prefixOf(path: string): string {
  return path.endsWith("/") ? path.slice(0, -1) : path;
}

/** Whether a path is the prefix or below it, segment for segment as they are written. */
export function isBelow(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === "/");
}
