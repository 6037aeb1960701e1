import { countryOf, isUnLocode } from "../kernel/un-locode.ts";
import { type Coordinates, distanceKm } from "./distance.ts";
import type { Port } from "./port.ts";

/** An entry of the `sea-ports` package, as far as it is used here. */
export interface RawPort {
  readonly name: string;
  readonly country: string;
  readonly coordinates?: readonly number[];
  readonly unlocs?: readonly string[];
  /** US Schedule D or K code: the customs of the United States know the port. */
  readonly code?: string;
}

/** What cleaning leaves, and what it took away or mended, by UN/LOCODE. */
export interface CleanPorts {
  readonly ports: readonly (Port & { readonly inSchedule: boolean })[];
  readonly withoutCoordinates: readonly string[];
  readonly duplicates: readonly string[];
  readonly mended: readonly string[];
  readonly misplaced: readonly string[];
}

const farFromCompatriotsKm = 1500;
const amongCompatriotsKm = 600;
/** How many ports of its country say where a port must be: more than there are with the same mistake side by side. */
const witnesses = 3;

type Candidate = Port & { readonly inSchedule: boolean };

/**
 * The ports whose data can be relied upon, ordered by code. Taken away: entries without coordinates; second entries of
 * the same port (an older code listed in `unlocs`, or the same name in the same country within 50 km); places far from
 * their country that have a namesake (Southampton in Bermuda, given the coordinates of Southampton in England). Mended: coordinates with latitude and longitude swapped or a sign lost, recognised
 * by a port that lies far from all others of its country while the mended place lies among them.
 */
export function cleanPorts(raw: Readonly<Record<string, RawPort>>): CleanPorts {
  const withoutCoordinates: string[] = [];
  const duplicates: string[] = [];
  const candidates: Candidate[] = [];
  for (const code of Object.keys(raw).sort()) {
    const entry = raw[code];
    if (entry === undefined) continue;
    const coordinates = readCoordinates(entry.coordinates);
    const canonical = entry.unlocs?.[0] ?? code;
    if (!isUnLocode(code) || coordinates === undefined) withoutCoordinates.push(code);
    else if (canonical !== code && raw[canonical] !== undefined) duplicates.push(code);
    else {
      const { name, country } = entry;
      candidates.push({ code, name, country, ...coordinates, inSchedule: entry.code !== undefined });
    }
  }
  const { settled, mended, misplaced } = settle(candidates);
  const ports: Candidate[] = [];
  for (const port of settled) {
    if (ports.some((known) => isSame(known, port))) duplicates.push(port.code);
    else ports.push(port);
  }
  return { ports, withoutCoordinates, duplicates, mended, misplaced };
}

function readCoordinates(pair: readonly number[] | undefined): Coordinates | undefined {
  const [longitude, latitude] = pair ?? [];
  if (longitude === undefined || latitude === undefined) return undefined;
  return Math.abs(longitude) <= 180 && Math.abs(latitude) <= 90 ? { longitude, latitude } : undefined;
}

function isSame(a: Port, b: Port): boolean {
  return a.name === b.name && a.country === b.country && distanceKm(a, b) < 50;
}

/** Whether a port far from its country may have been mistaken for this one, or stands for it a second time. */
function isNamesake(other: Port, port: Port): boolean {
  return other.name === port.name && (other.country === port.country || distanceKm(other, port) < 50);
}

/** Mends or takes away the ports that are not where their country is. */
function settle(candidates: readonly Candidate[]) {
  const settled: Candidate[] = [];
  const mended: string[] = [];
  const misplaced: string[] = [];
  const byCountry = Map.groupBy(candidates, (port) => countryOf(port.code));
  for (const port of candidates) {
    const compatriots = byCountry.get(countryOf(port.code)) ?? [];
    const apart = (place: Coordinates) => {
      const others = compatriots.filter((other) => other !== port).map((other) => distanceKm(place, other));
      return others.sort((a, b) => a - b)[Math.min(witnesses, others.length) - 1] ?? 0;
    };
    if (apart(port) < farFromCompatriotsKm) {
      settled.push(port);
      continue;
    }
    const mend = mends(port).find((place) => apart(place) < amongCompatriotsKm);
    if (mend !== undefined) {
      settled.push({ ...port, ...mend });
      mended.push(port.code);
    } else if (candidates.some((other) => other !== port && isNamesake(other, port))) misplaced.push(port.code);
    else settled.push(port);
  }
  return { settled, mended, misplaced };
}

function mends({ longitude, latitude }: Coordinates): Coordinates[] {
  const places = [
    { longitude: -longitude, latitude },
    { longitude, latitude: -latitude },
  ];
  if (Math.abs(longitude) <= 90) places.unshift({ longitude: latitude, latitude: longitude });
  return places;
}
