import type { Port } from "./port.ts";

/** What to look for in {@link searchPorts}. */
export interface PortSearch {
  /** Part of a name or code, in any case. */
  readonly query: string | undefined;
  /** A country by its whole name or its two letters. */
  readonly country: string | undefined;
  readonly limit: number;
}

/** The ports that match, those whose name or code begins with the query first, else by name. */
export function searchPorts(ports: readonly Port[], { query = "", country, limit }: PortSearch): Port[] {
  const wanted = query.trim().toLowerCase();
  const land = country?.trim().toLowerCase();
  const begins = ({ name, code }: Port) =>
    name.toLowerCase().startsWith(wanted) || code.toLowerCase().startsWith(wanted);
  return ports
    .filter(({ name, code }) => `${name}\n${code}`.toLowerCase().includes(wanted))
    .filter(
      (port) =>
        land === undefined || port.country.toLowerCase() === land || port.code.slice(0, 2).toLowerCase() === land,
    )
    .sort((a, b) => Number(begins(b)) - Number(begins(a)) || a.name.localeCompare(b.name, "en"))
    .slice(0, limit);
}
