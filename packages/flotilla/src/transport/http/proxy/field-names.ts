/** What concerns one connection only (RFC 9110, section 7.6.1), besides what `Connection` names and all of `Proxy-*`. */
const HOP: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "te",
  "transfer-encoding",
  "upgrade",
]);

/** Whether a field, its name in lower case, ends at the next hop by its own definition. */
export function isHop(name: string): boolean {
  return HOP.has(name) || name.startsWith("proxy-");
}

/** The fields that `Connection` names, in lower case; undefined when it names none. */
export function nominated(raw: readonly string[]): ReadonlySet<string> | undefined {
  let names: Set<string> | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    if (name.length !== 10 || name.toLowerCase() !== "connection") continue;
    for (const token of raw[i + 1]!.toLowerCase().split(",")) {
      const option = token.trim();
      if (option === "keep-alive" || option === "close" || option === "") continue;
      names ??= new Set();
      names.add(option);
    }
  }
  return names;
}

/** Whether a list of tokens has this one, which is in lower case. */
export function hasToken(list: string, token: string): boolean {
  return list
    .toLowerCase()
    .split(",")
    .some((one) => one.split(";", 1)[0]!.trim() === token);
}

/** The fields of a message that go on to the next hop, names as they came. */
export function endToEnd(raw: readonly string[]): string[] {
  const named = nominated(raw);
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const lower = name.toLowerCase();
    if (!isHop(lower) && named?.has(lower) !== true && !lower.startsWith(":")) kept.push(name, raw[i + 1]!);
  }
  return kept;
}
