import { createRequire } from "node:module";
import { type CleanPorts, cleanPorts, type RawPort } from "./clean.ts";

/** The real sea ports of the `sea-ports` package, cleaned. Reads and parses half a megabyte of JSON: call it once. */
export function seaPorts(): CleanPorts {
  const data: unknown = createRequire(import.meta.url)("sea-ports/lib/ports.json");
  return cleanPorts(data as Record<string, RawPort>);
}
