import { countryOf, type UnLocode } from "../kernel/un-locode.ts";
import type { CleanPorts } from "./clean.ts";
import { distanceKm } from "./distance.ts";
import type { Port } from "./port.ts";

/**
 * Countries whose ports are never chosen to spread the net, only as majors. Without a sea coast, or on the Caspian; and
 * those many of whose entries are inland customs points (Denver, Winnipeg, Chengdu, Jaipur), which the data does not tell apart.
 */
const notSpread = new Set(
  "AT AZ BF BO BY CH CZ HU KZ LA LU MD ML MW NP PY RS RW SK TM UG UZ ZM ZW US CA CN IN DE".split(" "),
);

/** Other entries that no sea ship reaches: inland towns, the far ends of rivers, coordinates in the wrong place. */
const unreachable = new Set("DZGHA FRMDH BRSAL BRVDC KENBO MXREX BRPNN BRMAO RUPTP CDKIN CDMAT CGBZV PEIQT".split(" "));

/**
 * The ports to serve: the majors, and then, one after the other, the port farthest from all chosen so far, until there
 * are `size` of them. The data knows nothing of size; the majors come from the trunk rotations, and farthest-point
 * choice (Gonzalez, 1985) covers all other coasts evenly. Only ports with a Schedule K code are eligible, which keeps
 * airports and yards out.
 *
 * @throws RangeError for a major that the data does not have: the rotations and the data disagree.
 */
export function selectPorts(clean: CleanPorts["ports"], majors: Iterable<UnLocode>, size: number): readonly Port[] {
  const byCode = new Map(clean.map((port) => [port.code, port]));
  const chosen: Port[] = [];
  const take = ({ code, name, country, longitude, latitude }: Port) => {
    chosen.push({ code, name, country, longitude, latitude });
  };
  for (const code of new Set(majors)) {
    const port = byCode.get(code);
    if (port === undefined) throw new RangeError(`the rotations call at ${code}, which is not among the sea ports`);
    take(port);
    byCode.delete(code);
  }
  const rest = [...byCode.values()]
    .filter((port) => port.inSchedule && !notSpread.has(countryOf(port.code)) && !unreachable.has(port.code))
    .map((port) => ({ port, km: Math.min(...chosen.map((other) => distanceKm(port, other))) }));
  while (chosen.length < size) {
    const farthest = rest.reduce((best, one) => (best === undefined || one.km > best.km ? one : best), rest[0]);
    if (farthest === undefined || farthest.km <= 0) break;
    take(farthest.port);
    for (const one of rest) one.km = Math.min(one.km, distanceKm(one.port, farthest.port));
  }
  return chosen;
}
