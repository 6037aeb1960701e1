import { integer, pick, type Random } from "../kernel/random.ts";
import { dayMs, fromIso, hourMs, toIso } from "../kernel/time.ts";
import type { WireLeg } from "../kernel/wire.ts";
import type { Api } from "./api.ts";
import { countFailure, type Ledger } from "./ledger.ts";

/** What a customer lives in. */
export interface World {
  readonly api: Api;
  readonly ledger: Ledger;
  readonly random: Random;
  readonly ports: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Waits a little, as people do. Rejects with {@link Closing} when the day is over. */
  readonly think: () => Promise<void>;
}

/** The day is over: customers go home between two requests. */
export class Closing extends Error {
  override readonly name = "Closing";
}

interface Cargo {
  readonly trackingId: string;
  readonly destination: string;
  readonly routing: string;
}

interface Delivery {
  readonly transport: string;
  readonly misdirected: boolean;
  readonly arrived: boolean;
  readonly nextExpected?: { readonly type: string; readonly location: string };
}

/** Books a cargo from here to there. */
export async function book({ api, random, ports, now }: World, origin?: string, destination?: string): Promise<Cargo> {
  const from = origin ?? pick(random, ports);
  const to =
    destination ??
    pick(
      random,
      ports.filter((port) => port !== from),
    );
  const deadline = toIso(now() + integer(random, 70, 150) * dayMs);
  return api.send<Cargo>("POST", "/cargos", { origin: from, destination: to, deadline }, 201);
}

/** Looks at the ways and takes one; undefined when no ship arrives in time. */
export async function route(
  { api, random, ledger, think }: World,
  { trackingId }: Cargo,
): Promise<WireLeg[] | undefined> {
  await think();
  const { routes } = await api.send<{ routes: { legs: WireLeg[] }[] }>(
    "GET",
    `/cargos/${trackingId}/routes`,
    undefined,
    200,
  );
  if (routes.length === 0) {
    ledger.customers.noShipInTime++;
    return undefined;
  }
  const { legs } = pick(random, routes);
  await think();
  const cargo = await api.send<Cargo>("POST", `/cargos/${trackingId}/route`, { legs }, 200);
  check(ledger, cargo.routing === "routed", `routing of ${trackingId}`, "routed", cargo.routing);
  return legs;
}

/** Everything that is to happen to a cargo on its way, as the terminals will report it. */
export function reportsFor(trackingId: string, legs: readonly WireLeg[]) {
  const [first] = legs;
  const last = legs.at(-1);
  if (first === undefined || last === undefined) return [];
  const at = (iso: string, hours: number) => toIso(fromIso(iso) + hours * hourMs);
  const reports = [
    { type: "receive", location: first.from, completedAt: at(first.loadAt, -6) },
    ...legs.flatMap(({ voyage, from, to, loadAt, unloadAt }) => [
      { type: "load", location: from, voyage, completedAt: loadAt },
      { type: "unload", location: to, voyage, completedAt: unloadAt },
    ]),
    { type: "customs", location: last.to, completedAt: at(last.unloadAt, 5) },
    { type: "claim", location: last.to, completedAt: at(last.unloadAt, 30) },
  ];
  return reports.map((report, i) => Object.assign(report, { eventId: `${trackingId}-${i}`, trackingId }));
}

/** Books, routes, and has the cargo brought to its destination in fast motion, looking where it is now and then. */
export async function ship(world: World): Promise<void> {
  const { api, random, ledger, think } = world;
  const cargo = await book(world);
  const legs = await route(world, cargo);
  if (legs === undefined) return;
  for (const report of reportsFor(cargo.trackingId, legs)) {
    await think();
    await api.send("POST", "/handling-events", report, 201);
    // Terminals report twice when they did not hear the answer.
    if (random() < 0.1) await api.send("POST", "/handling-events", report, 201);
    if (random() < 0.3) await track(world, cargo);
  }
  const { transport, arrived, misdirected } = await track(world, cargo);
  const right = transport === "claimed" && arrived && !misdirected;
  check(
    ledger,
    right,
    `delivery of ${cargo.trackingId}`,
    "claimed",
    JSON.stringify({ transport, arrived, misdirected }),
  );
}

/** Has the cargo taken off the ship in a port where it should have stayed aboard. */
export async function goAstray(world: World): Promise<void> {
  const { api, ledger, think, ports } = world;
  const cargo = await book(world);
  const legs = await route(world, cargo);
  const [first] = legs ?? [];
  if (legs === undefined || first === undefined) return;
  const [receive, load] = reportsFor(cargo.trackingId, legs);
  await api.send("POST", "/handling-events", receive, 201);
  await api.send("POST", "/handling-events", load, 201);
  await think();
  const { movements } = await api.send<{ movements: { to: string }[] }>(
    "GET",
    `/voyages/${first.voyage}`,
    undefined,
    200,
  );
  const planned = new Set(legs.filter((leg) => leg.voyage === first.voyage).map((leg) => leg.to));
  const elsewhere = movements.map((one) => one.to).find((port) => !planned.has(port) && ports.includes(port));
  if (elsewhere === undefined) return;
  const unload = { type: "unload", location: elsewhere, voyage: first.voyage, completedAt: first.unloadAt };
  await api.send(
    "POST",
    "/handling-events",
    { eventId: `${cargo.trackingId}-x`, trackingId: cargo.trackingId, ...unload },
    201,
  );
  const { misdirected } = await track(world, cargo);
  check(ledger, misdirected, `delivery of ${cargo.trackingId}`, "misdirected", "not misdirected");
}

/** Thinks better of the destination, and takes another way. */
export async function changeMind(world: World): Promise<void> {
  const { api, random, ledger, ports, think } = world;
  const cargo = await book(world);
  const legs = await route(world, cargo);
  if (legs === undefined) return;
  await think();
  const called = new Set(legs.flatMap((leg) => [leg.from, leg.to]));
  const destination = pick(
    random,
    ports.filter((port) => !called.has(port)),
  );
  const changed = await api.send<Cargo>("PUT", `/cargos/${cargo.trackingId}/destination`, { destination }, 200);
  check(ledger, changed.routing === "misrouted", `routing of ${cargo.trackingId}`, "misrouted", changed.routing);
  await route(world, cargo);
}

async function track({ api }: World, { trackingId }: Cargo): Promise<Delivery> {
  return api.send<Delivery>("GET", `/tracking/${trackingId}`, undefined, 200);
}

/** The right status may still carry a wrong answer. */
function check(ledger: Ledger, right: boolean, request: string, expected: string, got: string): void {
  if (!right) countFailure(ledger, { request, expected, got });
}
