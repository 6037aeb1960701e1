import { pick } from "../kernel/random.ts";
import { dayMs, toIso } from "../kernel/time.ts";
import { book, reportsFor, route, type World } from "./customer.ts";

type Mistake = (world: World) => Promise<unknown>;

const later = ({ now }: World) => toIso(now() + 90 * dayMs);

/** What people get wrong, and the refusal each must expect. */
export const mistakes: Readonly<Record<string, Mistake>> = {
  nowhere: (world) => {
    const order = { origin: "XXXXX", destination: pick(world.random, world.ports), deadline: later(world) };
    return world.api.send("POST", "/cargos", order, 400);
  },
  inland: (world) => {
    const order = { origin: pick(world.random, world.ports), destination: "USDEN", deadline: later(world) };
    return world.api.send("POST", "/cargos", order, 400);
  },
  nowhereFar: (world) => {
    const port = pick(world.random, world.ports);
    return world.api.send("POST", "/cargos", { origin: port, destination: port, deadline: later(world) }, 400);
  },
  tooLate: (world) => {
    const { api, random, ports, now } = world;
    const [origin, destination] = [pick(random, ports.slice(0, 20)), pick(random, ports.slice(20))];
    return api.send("POST", "/cargos", { origin, destination, deadline: toIso(now() - dayMs) }, 400);
  },
  noDate: ({ api }) => api.send("POST", "/cargos", { origin: "NLRTM", destination: "SGSIN", deadline: "soon" }, 400),
  noJson: ({ api }) => api.send("POST", "/cargos", '{"origin": "NLRTM",', 400),
  noSuchCargo: ({ api }) => api.send("GET", "/cargos/C-0000000000", undefined, 404),
  nothingToTrack: ({ api }) => api.send("GET", "/tracking/C-0000000000", undefined, 404),
  noSuchVoyage: ({ api }) => api.send("GET", "/voyages/TITANIC-1912", undefined, 404),
  handledUnbooked: (world) => {
    const event = { type: "receive", location: "NLRTM", completedAt: toIso(world.now()) };
    const report = { eventId: `stray-${world.random()}`, trackingId: "C-0000000000", ...event };
    return world.api.send("POST", "/handling-events", report, 404);
  },
  wrongWay: async (world) => {
    const cargo = await book(world);
    const other = await book(world);
    const legs = await route(world, other);
    // A way from one place to another is hardly ever the way between two other ones; if it is, there is no mistake.
    if (legs === undefined || other.destination === cargo.destination) return;
    await world.api.send("POST", `/cargos/${cargo.trackingId}/route`, { legs }, 400);
  },
  loadedWithoutShip: async (world) => {
    const cargo = await book(world);
    const legs = await route(world, cargo);
    const load = reportsFor(cargo.trackingId, legs ?? []).find((report) => report.type === "load");
    if (load === undefined) return;
    await world.api.send("POST", "/handling-events", { ...load, voyage: undefined }, 400);
  },
};
