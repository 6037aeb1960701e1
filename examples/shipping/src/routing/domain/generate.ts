import { integer, pick, type Random } from "../../kernel/random.ts";
import { hourMs, weekMs } from "../../kernel/time.ts";
import type { UnLocode } from "../../kernel/un-locode.ts";
import { bearing, type Coordinates, distanceKm, nauticalMiles } from "../../ports/distance.ts";
import type { Port } from "../../ports/port.ts";
import { passages } from "./passages.ts";
import { type Rotation, rotations } from "./rotations.ts";
import type { Call, Line } from "./timetable.ts";

/** Feeders hug coasts: their way is this much longer than the great circle. */
const coastalDetour = 1.2;
const feederCarriers = ["Coral Feeder", "Amber Feeder", "Carib Feeder", "Baobab Line", "Monsoon Lines"];
const callsPerFeeder = 6;

/** The ports that the trunk rotations call at. */
export function trunkPorts(): UnLocode[] {
  return rotations.flatMap(stops).filter((stop) => !stop.startsWith("@"));
}

/**
 * The lines that serve the given ports. The trunks follow the rotations; every port that no trunk calls at is joined to
 * its nearest trunk port by a feeder, a round trip through up to six neighbours. Chance decides the day of the week,
 * the hours in port, the speed of the feeders, and which of them run both ways round. Same ports and seed, same lines.
 */
export function generateLines(ports: readonly Port[], random: Random): Line[] {
  const byCode = new Map(ports.map((port) => [port.code, port]));
  const lines = rotations.map((rotation) => trunk(rotation, byCode, random));
  const hubs = [...new Set(trunkPorts())].map((code) => at(byCode, code));
  const served = new Set(hubs.map((hub) => hub.code));
  const around = Map.groupBy(
    ports.filter((port) => !served.has(port.code)),
    (port) => nearest(port, hubs),
  );
  for (const [hub, spokes] of around) {
    for (const loop of loops(hub, spokes)) lines.push(...feeders(hub, loop, random));
  }
  return lines;
}

function stops(rotation: Rotation): string[] {
  return rotation.calls.split(/\s+/);
}

function trunk(rotation: Rotation, ports: ReadonlyMap<UnLocode, Port>, random: Random): Line {
  const way = stops(rotation);
  const first = way[0] as string;
  const calls: Call[] = [];
  let clock = 0;
  let place: Coordinates | undefined;
  for (const stop of [...way, first]) {
    const here = passages[stop] ?? at(ports, stop);
    if (place !== undefined) clock += sailing(place, here, rotation.knots);
    place = here;
    if (stop in passages) clock += (passages[stop]?.delayHours ?? 0) * hourMs;
    else clock = call(calls, stop, clock, integer(random, 18, 34));
  }
  return { id: rotation.id, carrier: rotation.carrier, offset: startOfVoyages(random), calls: closed(calls) };
}

/** One feeder line, or two if it runs both ways round. */
function feeders(hub: Port, loop: readonly Port[], random: Random): Line[] {
  const name = hub.code.slice(2);
  const carrier = pick(random, feederCarriers);
  const knots = integer(random, 12, 15);
  const ways = loop.length > 1 && random() < 0.5 ? [loop, loop.toReversed()] : [loop];
  return ways.map((way, i) => {
    const calls: Call[] = [];
    let clock = call(calls, hub.code, 0, integer(random, 12, 20));
    let place = hub;
    for (const port of [...way, hub]) {
      clock = call(calls, port.code, clock + coastalDetour * sailing(place, port, knots), integer(random, 8, 16));
      place = port;
    }
    const id = `F${name}${loop[0]?.code.slice(2) ?? ""}${i === 0 ? "" : "R"}`;
    return { id, carrier, offset: startOfVoyages(random), calls: closed(calls) };
  });
}

/** Cuts the spokes of a hub into round trips: swept round the compass, so that neighbours sail together. */
function loops(hub: Port, spokes: readonly Port[]): Port[][] {
  const swept = spokes.toSorted((a, b) => bearing(hub, a) - bearing(hub, b));
  const count = Math.ceil(swept.length / callsPerFeeder);
  return Array.from({ length: count }, (_, i) =>
    swept.slice(Math.floor((i * swept.length) / count), Math.floor(((i + 1) * swept.length) / count)),
  );
}

function call(calls: Call[], port: UnLocode, arrive: number, hoursInPort: number): number {
  const depart = wholeHour(arrive) + hoursInPort * hourMs;
  calls.push({ port, arrive: wholeHour(arrive), depart });
  return depart;
}

/** The last call ends the voyage: the ship stays. The first one begins it: time counts from its departure. */
function closed(calls: readonly Call[]): Call[] {
  const start = calls[0]?.depart ?? 0;
  const last = calls.length - 1;
  return calls.map(({ port, arrive, depart }, i) => ({
    port,
    arrive: i === 0 ? 0 : arrive - start,
    depart: i === last ? arrive - start : depart - start,
  }));
}

function sailing(from: Coordinates, to: Coordinates, knots: number): number {
  return (nauticalMiles(from, to) / knots) * hourMs;
}

function wholeHour(ms: number): number {
  return Math.ceil(ms / hourMs) * hourMs;
}

function startOfVoyages(random: Random): number {
  return integer(random, 0, weekMs / hourMs - 1) * hourMs;
}

function nearest(port: Port, hubs: readonly Port[]): Port {
  return hubs.reduce((best, hub) => (distanceKm(port, hub) < distanceKm(port, best) ? hub : best));
}

function at(ports: ReadonlyMap<UnLocode, Port>, code: UnLocode): Port {
  const port = ports.get(code);
  if (port === undefined) throw new RangeError(`a rotation calls at ${code}, which is not among the ports to serve`);
  return port;
}
