import type { Itinerary, Leg } from "../../kernel/itinerary.ts";
import { hourMs, type Instant, weekMs } from "../../kernel/time.ts";
import type { Network, NetworkLine } from "./network.ts";
import { timetableEpoch, voyageNumber, voyageStart } from "./timetable.ts";

/** What is searched for, ports as numbers of the network. */
export interface Search {
  readonly origin: number;
  readonly destination: number;
  /** No ship that leaves earlier is considered. */
  readonly readyAt: Instant;
  /** No arrival after this is considered. */
  readonly deadline: Instant;
  /** Lines not to use, by number. */
  readonly without?: ReadonlySet<number>;
}

/** Hours from unloading to loading at a port of transshipment, at least. */
export const transferHours = 12;
/** Legs of an itinerary, at most. */
export const maxLegs = 6;

/** How a port was reached in a round: on which voyage, and where the cargo was loaded. */
interface Label {
  readonly line: NetworkLine;
  readonly week: number;
  readonly load: number;
  readonly unload: number;
  readonly before: Label | undefined;
}

/**
 * The earliest arrivals by number of legs: for one leg, for two, and so on, each one that arrives earlier than all with
 * fewer. The round-based search of Delling, Pajor and Werneck ("Round-Based Public Transit Routing", 2012): round n
 * finds what can be reached with n legs by sailing along every line that calls where round n - 1 arrived. The timetable is
 * periodic, so the next voyage of a line is computed, not looked up.
 */
export function earliestArrivals(network: Network, search: Search): Itinerary[] {
  const { origin, destination, readyAt, deadline, without } = search;
  const best = new Float64Array(network.ports.length).fill(Number.POSITIVE_INFINITY);
  let ready = new Float64Array(network.ports.length).fill(Number.POSITIVE_INFINITY);
  let labels: (Label | undefined)[] = [];
  let reached = [origin];
  ready[origin] = readyAt;
  best[origin] = readyAt;
  const found: Itinerary[] = [];
  for (let round = 1; round <= maxLegs && reached.length > 0; round++) {
    const nextReady = ready.slice();
    const nextLabels = labels.slice();
    const nextReached = new Set<number>();
    for (const [number, from] of linesFrom(network, reached, without)) {
      const line = network.lines[number] as NetworkLine;
      let week = Number.POSITIVE_INFINITY;
      let load = -1;
      for (let i = from; i < line.calls.length; i++) {
        const port = line.ports[i] as number;
        const call = line.calls[i] as { arrive: number; depart: number };
        if (load >= 0) {
          const arrival = voyageStart(line.line, week) + call.arrive;
          if (arrival < (best[port] as number) && arrival < (best[destination] as number) && arrival <= deadline) {
            best[port] = arrival;
            nextReady[port] = arrival + transferHours * hourMs;
            nextLabels[port] = { line, week, load, unload: i, before: labels[line.ports[load] as number] };
            nextReached.add(port);
          }
        }
        const next = nextWeek(line, call.depart, ready[port] as number);
        if (next < week && i < line.calls.length - 1) {
          week = next;
          load = i;
        }
      }
    }
    if (nextReached.has(destination)) found.push(legs(network, nextLabels[destination]));
    ready = nextReady;
    labels = nextLabels;
    reached = [...nextReached];
  }
  return found;
}

/** The lines that call at any of the ports, each with its first call there. */
function linesFrom(network: Network, ports: readonly number[], without: ReadonlySet<number> | undefined) {
  const first = new Map<number, number>();
  for (const port of ports) {
    const calls = network.callsAt[port] as readonly number[];
    for (let i = 0; i < calls.length; i += 2) {
      const line = calls[i] as number;
      const call = calls[i + 1] as number;
      if (without?.has(line)) continue;
      const known = first.get(line);
      if (known === undefined || call < known) first.set(line, call);
    }
  }
  return first;
}

/** The first week whose voyage departs from a call at or after an instant. */
function nextWeek(line: NetworkLine, depart: number, at: Instant): number {
  return Math.ceil((at - timetableEpoch - line.line.offset - depart) / weekMs);
}

function legs(network: Network, last: Label | undefined): Leg[] {
  const itinerary: Leg[] = [];
  for (let label = last; label !== undefined; label = label.before) {
    const { line, week, load, unload } = label;
    const start = voyageStart(line.line, week);
    itinerary.unshift({
      voyage: voyageNumber(line.line.id, week),
      from: network.ports[line.ports[load] as number] as string,
      to: network.ports[line.ports[unload] as number] as string,
      loadAt: start + (line.calls[load]?.depart ?? 0),
      unloadAt: start + (line.calls[unload]?.arrive ?? 0),
    });
  }
  return itinerary;
}
