import data from "sea-ports";
import { type CleanPorts, cleanPorts } from "./clean.ts";

/** The real sea ports of the `sea-ports` package, cleaned. Takes a while for 1634 entries: call it once. */
export function seaPorts(): CleanPorts {
  return cleanPorts(data.JSON);
}
