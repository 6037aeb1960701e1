import { background } from "flotilla/context";
import type { Discovery, Instancer, Registration, Watch } from "flotilla/discovery";
import type { Instance } from "flotilla/endpoint";
import { type FaultProxy, faultProxy } from "flotilla/testing";

/** An instance as others find it: at the address of a proxy. */
export interface Mirrored {
  readonly instance: Instance;
  readonly proxy: FaultProxy;
}

interface Entry extends Mirrored {
  /** What the process is registered under, by id: an address for each protocol. */
  readonly registrations: Map<string, Registration>;
}

const ctx = background();

/**
 * Stands between the instances of a service and all who call it: what is registered in one registry, the mirror registers in
 * another, at the address of a proxy. A process that speaks several protocols on one port has one proxy.
 */
export class Mirror {
  readonly #front: Discovery;
  readonly #service: string;
  readonly #watch: Watch;
  /** By host and port. */
  readonly #entries = new Map<string, Entry>();
  /** All that is registered now. */
  #seen: readonly Instance[] = [];
  /** Nobody is sent there any more, but calls may be on their way. */
  readonly #left: FaultProxy[] = [];
  /** Changes, one after the other. */
  #work: Promise<void> = Promise.resolve();

  constructor(service: string, back: Instancer, front: Discovery) {
    this.#front = front;
    this.#service = service;
    this.#watch = back.watch(service, {
      update: (instances) => void this.#do(() => this.#follow(instances)),
      error: () => {},
    });
  }

  /** The processes that are registered, in the order of their ids. */
  get all(): readonly Mirrored[] {
    return [...this.#entries.values()].toSorted((a, b) => (a.instance.id < b.instance.id ? -1 : 1));
  }

  /** Under how many addresses they are. */
  get addresses(): number {
    let sum = 0;
    for (const { registrations } of this.#entries.values()) sum += registrations.size;
    return sum;
  }

  /** Gives a process another address. What is on its way to the old one may end there. */
  async move(id: string): Promise<void> {
    const [at, old] = [...this.#entries].find(([, { instance }]) => instance.id === id) ?? [];
    if (at === undefined || old === undefined) throw new Error(`there is no instance ${id}`);
    await this.#do(async () => {
      this.#entries.delete(at);
      for (const instance of this.#seen) if (hostOf(instance) === at) await this.#register(instance);
      for (const registration of old.registrations.values()) await registration.deregister(ctx);
    });
    this.#left.push(old.proxy);
  }

  async close(): Promise<void> {
    this.#watch.stop();
    await this.#do(() => this.#follow([]));
    await Promise.all(this.#left.map((proxy) => proxy.close()));
  }

  #do(change: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(change);
    return this.#work;
  }

  async #follow(instances: readonly Instance[]): Promise<void> {
    // That of HTTP first, since it is under its id that a process is known.
    this.#seen = instances.toSorted((a, b) => (a.address > b.address ? -1 : 1));
    const there = new Set(instances.map(({ id }) => id));
    for (const [at, { registrations, proxy }] of this.#entries) {
      for (const [id, registration] of registrations) {
        if (there.has(id)) continue;
        registrations.delete(id);
        await registration.deregister(ctx);
      }
      if (registrations.size > 0) continue;
      this.#entries.delete(at);
      this.#left.push(proxy);
    }
    for (const instance of this.#seen) {
      const known = this.#entries.get(hostOf(instance))?.registrations.has(instance.id);
      if (known !== true) await this.#register(instance);
    }
  }

  async #register(instance: Instance): Promise<void> {
    const at = hostOf(instance);
    let entry = this.#entries.get(at);
    if (entry === undefined) {
      entry = { instance, proxy: await faultProxy({ to: `http://${at}` }), registrations: new Map() };
      this.#entries.set(at, entry);
    }
    const address = instance.address.replace(at, `127.0.0.1:${entry.proxy.port}`);
    entry.registrations.set(instance.id, await this.#front.register(ctx, this.#service, { ...instance, address }));
  }
}

/** Host and port: the same for all protocols of a port. */
function hostOf({ address }: Instance): string {
  return new URL(address).host;
}
