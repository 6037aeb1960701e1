import type { Clock, Timer } from "../clock/clock.ts";
import type { Context } from "../context/context.ts";
import { afterFunc } from "../context/with.ts";
import { Broadcast } from "../discovery/broadcast.ts";
import { byId, frozenInstance, instanceFault, serviceFault } from "../discovery/check.ts";
import type { Discovery, InstanceObserver, Registration, Watch } from "../discovery/discovery.ts";
import type { Instance } from "../endpoint/instance.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { Network, Place } from "./network.ts";
import type { End } from "./remote-call.ts";

/** Options of the registry of a simulation. */
export interface RegistryOptions {
  /** How long an instance is known without a heartbeat, milliseconds. Default 10000. */
  readonly leaseMs?: number;
  /** Changes within so long are told together, milliseconds. Default 50. */
  readonly batchMs?: number;
}

interface Entry {
  readonly instance: Instance;
  expiresMs: number;
}

interface Follower {
  readonly end: End;
  readonly tell: (instances: readonly Instance[]) => void;
}

interface Service {
  readonly entries: Map<string, Entry>;
  readonly followers: Set<Follower>;
  /** What followers are told; undefined when it has to be put together anew. */
  snapshot: readonly Instance[] | undefined;
  telling: Timer | undefined;
}

/**
 * A registry with leases on a machine of its own, reached over the simulated network: it can be cut off and it can be down.
 * What it knows survives its being down, and leases start anew then, as those of etcd do.
 */
export class SimRegistry {
  readonly place: Place = { name: "registry", zone: undefined };
  readonly leaseMs: number;
  readonly #clock: Clock;
  readonly #network: Network;
  readonly #batchMs: number;
  readonly #services = new Map<string, Service>();
  #up = true;

  /** @throws RangeError when an option is not legal, naming it. */
  constructor(clock: Clock, network: Network, { leaseMs = 10_000, batchMs = 50 }: RegistryOptions = {}) {
    if (!(leaseMs > 0)) throw new RangeError(`registry: leaseMs must be above 0, got ${leaseMs}`);
    if (!(batchMs >= 0)) throw new RangeError(`registry: batchMs must be 0 or more, got ${batchMs}`);
    this.#clock = clock;
    this.#network = network;
    this.leaseMs = leaseMs;
    this.#batchMs = batchMs;
  }

  /** Registrar and instancer as this process has them. */
  from(end: End): Discovery {
    return new RegistryView(this, end);
  }

  /** Ids of the instances it knows of a service. */
  known(service: string): readonly string[] {
    return [...(this.#services.get(service)?.entries.keys() ?? [])];
  }

  /** Answers nobody from now on. */
  down(): void {
    this.#up = false;
  }

  /** Answers again. */
  up(): void {
    this.#up = true;
    const now = this.#clock.now();
    for (const [name, { entries }] of this.#services) {
      for (const entry of entries.values()) this.#lease(name, entry, now + this.leaseMs);
    }
  }

  /** A message from a process; `answer` runs there, unless one of the two is out of reach. @internal */
  ask(from: End, question: () => void, answer: () => void): void {
    this.#network.send(from.place, this.place, 0, () => {
      if (!this.#up) return;
      question();
      this.#network.send(this.place, from.place, 0, () => from.onLoop(0, answer));
    });
  }

  /** @internal */
  put(name: string, instance: Instance): void {
    const service = this.#service(name);
    const known = service.entries.get(instance.id);
    const expiresMs = this.#clock.now() + this.leaseMs;
    if (known?.instance === instance) {
      known.expiresMs = expiresMs;
      return;
    }
    const entry: Entry = { instance, expiresMs };
    service.entries.set(instance.id, entry);
    this.#lease(name, entry, expiresMs);
    this.#tell(service);
  }

  /** @internal */
  take(name: string, instance: Instance): void {
    const service = this.#service(name);
    if (service.entries.get(instance.id)?.instance !== instance) return;
    service.entries.delete(instance.id);
    this.#tell(service);
  }

  /** @internal */
  follow(name: string, follower: Follower): void {
    const service = this.#service(name);
    service.followers.add(follower);
    this.#send(service, follower);
  }

  /** @internal */
  unfollow(name: string, follower: Follower): void {
    this.#services.get(name)?.followers.delete(follower);
  }

  #service(name: string): Service {
    let service = this.#services.get(name);
    if (service === undefined) {
      service = { entries: new Map(), followers: new Set(), snapshot: undefined, telling: undefined };
      this.#services.set(name, service);
    }
    return service;
  }

  /** Forgets the entry when its lease has run out, unless it was renewed meanwhile. */
  #lease(name: string, entry: Entry, expiresMs: number): void {
    entry.expiresMs = expiresMs;
    this.#clock.schedule(expiresMs - this.#clock.now(), () => {
      const { entries } = this.#service(name);
      if (!this.#up || entries.get(entry.instance.id) !== entry) return;
      if (this.#clock.now() < entry.expiresMs) this.#lease(name, entry, entry.expiresMs);
      else this.take(name, entry.instance);
    });
  }

  #tell(service: Service): void {
    service.snapshot = undefined;
    service.telling ??= this.#clock.schedule(this.#batchMs, () => {
      service.telling = undefined;
      if (this.#up) for (const follower of service.followers) this.#send(service, follower);
    });
  }

  #send(service: Service, follower: Follower): void {
    // In order, and the same for all: else each follower would sort and keep its own.
    service.snapshot ??= Object.freeze(Array.from(service.entries.values(), ({ instance }) => instance).sort(byId));
    const instances = service.snapshot;
    const { end } = follower;
    if (!end.alive) return void service.followers.delete(follower);
    this.#network.send(this.place, end.place, 0, () => end.onLoop(0, () => follower.tell(instances)));
  }
}

/** The registry as one process has it. */
class RegistryView implements Discovery {
  readonly #registry: SimRegistry;
  readonly #end: End;

  constructor(registry: SimRegistry, end: End) {
    this.#registry = registry;
    this.#end = end;
  }

  async register(ctx: Context, service: string, given: Instance): Promise<Registration> {
    const fault = serviceFault(service) ?? instanceFault(given);
    if (fault !== undefined) throw new ServiceError("invalid_argument", `registry: ${fault}`);
    const registry = this.#registry;
    const end = this.#end;
    const instance = frozenInstance(given);
    await this.#asked(ctx, () => registry.put(service, instance));
    let error: ServiceError | undefined;
    let live = true;
    let answered = true;
    const { clock } = ctx;
    const beat = (): void => {
      if (!live || !end.alive) return;
      error = answered ? undefined : silent();
      answered = false;
      registry.ask(
        end,
        () => live && registry.put(service, instance),
        () => {
          answered = true;
          error = undefined;
        },
      );
      clock.schedule(registry.leaseMs / 3, beat);
    };
    clock.schedule(registry.leaseMs / 3, beat);
    return {
      get error() {
        return error;
      },
      deregister: (inner) => {
        live = false;
        return this.#asked(inner, () => registry.take(service, instance));
      },
    };
  }

  /** Resolves when the registry has answered; rejects when the context ends before. */
  #asked(ctx: Context, question: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (ctx.err !== undefined) return reject(ctx.err);
      const stop = afterFunc(ctx, () => reject(new ServiceError("unavailable", silent().message, { cause: ctx.err })));
      this.#registry.ask(this.#end, question, () => {
        stop();
        resolve();
      });
    });
  }

  watch(service: string, observer: InstanceObserver): Watch {
    const registry = this.#registry;
    const end = this.#end;
    const broadcast = new Broadcast();
    const told = broadcast.add(observer);
    let live = true;
    let answered = true;
    let following = false;
    // A registry that does not answer has lost its watches: what still comes of them is not to be believed until it does.
    let lost = false;
    let untold: readonly Instance[] | undefined;
    const tell = (instances: readonly Instance[]): void => {
      if (lost) untold = instances;
      else broadcast.update(instances);
    };
    const follower: Follower = { end, tell };
    // Asks again and again whether the registry is there, and once it is, to be told.
    const ask = (): void => {
      if (!live || !end.alive) return;
      if (!answered) {
        following = false;
        lost = true;
        untold = undefined;
        broadcast.error(silent());
      }
      answered = false;
      const asked = following;
      registry.ask(
        end,
        () => live && !asked && registry.follow(service, follower),
        () => {
          answered = true;
          following = true;
          lost = false;
          if (untold !== undefined) broadcast.update(untold);
          untold = undefined;
        },
      );
      clock.schedule(KEEPALIVE_MS, ask);
    };
    const { clock } = end;
    ask();
    return {
      stop() {
        live = false;
        told.stop();
        registry.unfollow(service, follower);
      },
    };
  }
}

/** How often a process asks whether the registry is still there. */
const KEEPALIVE_MS = 3000;

function silent(): ServiceError {
  return new ServiceError("unavailable", "the registry does not answer");
}
