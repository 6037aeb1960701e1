import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "flotilla/clock";
import type { Instancer } from "flotilla/discovery";
import type { Instance, Service } from "flotilla/endpoint";
import { http } from "flotilla/http";
import { channel, client, host, implement } from "flotilla/service";
import { Booking } from "./booking/contract.ts";
import { toTracking as bookingToTracking } from "./booking/messages.ts";
import { bookingService } from "./booking/service.ts";
import { openCargoStore } from "./booking/store.ts";
import { createApi } from "./driver/api.ts";
import { changeMind, goAstray, ship, type World } from "./driver/customer.ts";
import { exhibit } from "./driver/exhibit.ts";
import { createLedger, summary } from "./driver/ledger.ts";
import { mistakes } from "./driver/mistakes.ts";
import { Shipping } from "./gateway/contract.ts";
import { gatewayService } from "./gateway/service.ts";
import { Handling } from "./handling/contract.ts";
import { toTracking as handlingToTracking } from "./handling/messages.ts";
import { handlingService } from "./handling/service.ts";
import { openHandlingStore } from "./handling/store.ts";
import { seededRandom } from "./kernel/random.ts";
import { Routing } from "./routing/contract.ts";
import { drawUpSchedule } from "./routing/schedule.ts";
import { routingService } from "./routing/service.ts";
import { createRelay } from "./runtime/relay.ts";
import { servedPorts } from "./runtime/served-ports.ts";
import { Tracking } from "./tracking/contract.ts";
import { trackingService } from "./tracking/service.ts";
import { openTrackingStore } from "./tracking/store.ts";

// The whole system in one process: every service on an HTTP server of its own, found by a list in memory.

const folder = mkdtempSync(join(tmpdir(), "shipping-system-"));
const stops: (() => Promise<unknown>)[] = [];
const registered = new Map<string, Instance[]>();
const watchers: (() => void)[] = [];
const discover: Instancer = {
  watch: (service, observer) => {
    const tell = () => observer.update(registered.get(service) ?? []);
    watchers.push(tell);
    queueMicrotask(tell);
    return { stop: () => {} };
  },
};

async function serve(name: string, service: Service): Promise<string> {
  const running = await host({ name, serve: [service], listen: [http()], admin: false, onEvent: () => {} }).start();
  const [address = ""] = running.addresses;
  registered.set(service.name, [{ id: name, address }]);
  for (const tell of watchers) tell();
  stops.unshift(() => running.stop());
  return address;
}

const ledger = createLedger();
let world: World;

before(async () => {
  const contexts = channel({ discover });
  stops.push(() => contexts.close());
  const routing = client(Routing, contexts);
  const tracking = client(Tracking, contexts);
  const served = servedPorts(routing);

  const trackingStore = openTrackingStore(join(folder, "tracking.db"));
  const cargos = openCargoStore(join(folder, "booking.db"));
  const events = openHandlingStore(join(folder, "handling.db"));
  const bookingRelay = createRelay({ outbox: cargos.outbox, deliver: bookingToTracking(tracking), clock: systemClock });
  const handlingRelay = createRelay({
    outbox: events.outbox,
    deliver: handlingToTracking(tracking),
    clock: systemClock,
  });
  stops.push(
    () => bookingRelay.close(),
    () => handlingRelay.close(),
  );
  stops.push(async () => [trackingStore, cargos, events].map((store) => store.close()));

  await serve("routing", implement(Routing, routingService(drawUpSchedule(1))));
  await serve("tracking", implement(Tracking, trackingService(trackingStore)));
  const random = seededRandom(1);
  await serve(
    "booking",
    implement(Booking, bookingService({ store: cargos, relay: bookingRelay, routing, served, random })),
  );
  const booking = client(Booking, contexts);
  await serve(
    "handling",
    implement(Handling, handlingService({ store: events, relay: handlingRelay, booking, routing, served })),
  );
  const handling = client(Handling, contexts);
  const address = await serve("gateway", implement(Shipping, gatewayService({ booking, routing, handling, tracking })));

  const api = createApi(address, ledger, systemClock);
  const { ports } = await api.send<{ ports: { code: string }[] }>("GET", "/ports?limit=500", undefined, 200);
  world = {
    api,
    ledger,
    random: seededRandom(2),
    ports: ports.map((port) => port.code),
    now: () => systemClock.epoch(),
    think: async () => {},
  };
});

after(async () => {
  for (const stop of stops) await stop();
  rmSync(folder, { recursive: true });
});

test("all ports that are served can be listed, searched and are unique", async () => {
  assert.equal(new Set(world.ports).size, 300);
  const { ports } = await world.api.send<{ ports: { code: string }[] }>(
    "GET",
    "/ports?query=rotter&country=nl",
    undefined,
    200,
  );
  assert.deepEqual(
    ports.map((port) => port.code),
    ["NLRTM"],
  );
});

test("cargos are booked, routed, handled to their destination and tracked", async () => {
  for (let i = 0; i < 20; i++) await ship(world);
  assert.deepEqual(summary(ledger).failures, []);
});

test("a cargo taken off in the wrong port is misdirected, one sent elsewhere misrouted", async () => {
  for (let i = 0; i < 10; i++) {
    await goAstray(world);
    await changeMind(world);
  }
  assert.deepEqual(summary(ledger).failures, []);
});

for (const [name, mistake] of Object.entries(mistakes)) {
  test(`the mistake "${name}" is refused as it should be`, async () => {
    const refused = ledger.expectedRefusals;
    await mistake(world);
    assert.deepEqual(summary(ledger).failures, []);
    assert.equal(ledger.expectedRefusals, refused + 1);
  });
}

test("a refusal says what was wrong, as problem+json", async () => {
  const order = { origin: "NLRTM", destination: "NLRTM", deadline: "2099-01-01T00:00:00Z" };
  const problem = await world.api.send<Record<string, unknown>>("POST", "/cargos", order, 400);
  assert.equal(problem["detail"], "origin and destination are the same port");
  assert.equal(problem["code"], "invalid_argument");
  const malformed = await world.api.send<Record<string, unknown>>(
    "POST",
    "/cargos",
    { ...order, origin: "Rotterdam" },
    400,
  );
  assert.match(String(malformed["detail"]), /origin: expected a UN\/LOCODE/);
});

test("the exhibit is at sea", async () => {
  const id = await exhibit(world.api, world.now());
  const delivery = await world.api.send<Record<string, unknown>>("GET", `/tracking/${id}`, undefined, 200);
  assert.equal(delivery["transport"], "on_board");
  assert.equal((delivery["nextExpected"] as { type: string }).type, "unload");
});
