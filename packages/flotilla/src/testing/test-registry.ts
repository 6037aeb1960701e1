import type { Context } from "../context/context.ts";
import { Broadcast } from "../discovery/broadcast.ts";
import { frozenInstance, instanceFault, serviceFault } from "../discovery/check.ts";
import type { Discovery, InstanceObserver, Registration, Watch } from "../discovery/discovery.ts";
import type { Instance } from "../endpoint/instance.ts";
import { ServiceError } from "../errors/service-error.ts";

interface Entry {
  readonly instances: Map<string, Instance>;
  readonly watchers: Broadcast;
}

/**
 * A registry in the test's own memory: hosts register with it and clients discover through it as with any other, and the
 * test can set what is found or make discovery fail. No lease, no time, nothing to close.
 *
 * ```ts
 * const registry = new TestRegistry();
 * await host({ name: "calc", serve, listen: [net.listener("calc")], register: registry }).start();
 * const calc = client(Calculator, { discover: registry, transport: net });
 * ```
 */
export class TestRegistry implements Discovery {
  readonly #services = new Map<string, Entry>();
  #failure: ServiceError | undefined;

  async register(ctx: Context, service: string, instance: Instance): Promise<Registration> {
    const fault = serviceFault(service) ?? instanceFault(instance);
    if (fault !== undefined) throw new ServiceError("invalid_argument", `registry: ${fault}`);
    if (ctx.err !== undefined) throw ctx.err;
    if (this.#failure !== undefined) throw this.#failure;
    const entry = this.#entry(service);
    const registered = frozenInstance(instance);
    entry.instances.set(instance.id, registered);
    this.#tell(entry);
    return {
      error: undefined,
      deregister: async () => {
        if (entry.instances.get(instance.id) !== registered) return;
        entry.instances.delete(instance.id);
        this.#tell(entry);
      },
    };
  }

  watch(service: string, observer: InstanceObserver): Watch {
    const entry = this.#entry(service);
    if (this.#failure === undefined) this.#tell(entry);
    else entry.watchers.error(this.#failure);
    return entry.watchers.add(observer);
  }

  /** How many watches of a service are running. */
  watches(service: string): number {
    return this.#services.get(service)?.watchers.size ?? 0;
  }

  /** What is registered of a service now, by id. */
  instances(service: string): readonly Instance[] {
    return [...(this.#services.get(service)?.instances.values() ?? [])];
  }

  /** Makes exactly these instances of a service be found. An address alone is its own id. */
  set(service: string, instances: readonly (Instance | string)[]): void {
    const entry = this.#entry(service);
    entry.instances.clear();
    for (const given of instances) {
      const instance = typeof given === "string" ? { id: given, address: given } : given;
      entry.instances.set(instance.id, frozenInstance(instance));
    }
    this.#tell(entry);
  }

  /** Makes discovery and registration fail until `recover`. */
  fail(error: ServiceError): void {
    this.#failure = error;
    for (const { watchers } of this.#services.values()) watchers.error(error);
  }

  /** Ends a failure. */
  recover(): void {
    this.#failure = undefined;
    for (const entry of this.#services.values()) this.#tell(entry);
  }

  #tell({ watchers, instances }: Entry): void {
    if (this.#failure === undefined) watchers.update([...instances.values()]);
  }

  #entry(service: string): Entry {
    let entry = this.#services.get(service);
    if (entry === undefined) {
      entry = { instances: new Map(), watchers: new Broadcast() };
      this.#services.set(service, entry);
    }
    return entry;
  }
}
