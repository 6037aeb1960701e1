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
  readonly registration: Registration;
}

const ctx = background();

/**
 * Stands between the instances of a service and all who call it: what is registered in one registry, the mirror registers in
 * another, at the address of a proxy.
 */
export class Mirror {
  readonly #front: Discovery;
  readonly #service: string;
  readonly #watch: Watch;
  readonly #entries = new Map<string, Entry>();
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

  /** What is registered, in the order of the ids. */
  get all(): readonly Mirrored[] {
    return [...this.#entries.values()].toSorted((a, b) => (a.instance.id < b.instance.id ? -1 : 1));
  }

  /** Gives an instance another address. What is on its way to the old one may end there. */
  async move(id: string): Promise<void> {
    const old = this.#entries.get(id);
    if (old === undefined) throw new Error(`there is no instance ${id}`);
    await this.#do(async () => {
      await this.#register(old.instance);
      await old.registration.deregister(ctx);
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
    const there = new Set(instances.map(({ id }) => id));
    for (const [id, { registration, proxy }] of this.#entries) {
      if (there.has(id)) continue;
      this.#entries.delete(id);
      await registration.deregister(ctx);
      this.#left.push(proxy);
    }
    for (const instance of instances) if (!this.#entries.has(instance.id)) await this.#register(instance);
  }

  async #register(instance: Instance): Promise<void> {
    const proxy = await faultProxy({ to: instance.address });
    const registration = await this.#front.register(ctx, this.#service, { ...instance, address: proxy.address });
    this.#entries.set(instance.id, { instance, proxy, registration });
  }
}
