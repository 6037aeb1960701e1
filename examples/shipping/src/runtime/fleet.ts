import { join } from "node:path";
import { type Clock, systemClock } from "flotilla/clock";
import type { Instancer, Watch } from "flotilla/discovery";
import type { Instance } from "flotilla/endpoint";
import { type Child, type Exit, startChild } from "./child.ts";
import { createHistogram, sum } from "./histogram.ts";
import type { Served } from "./served.ts";

/** A service of the system: what runs it, how often, and under which name it registers. */
export interface ServiceSpec {
  readonly name: string;
  readonly file: string;
  readonly replicas: number;
  /** Name of its contract. */
  readonly contract: string;
  readonly env: Readonly<Record<string, string>>;
}

/** What a {@link Fleet} is made with. */
export interface FleetOptions {
  /** In the order in which they are stopped: whoever calls before whoever is called. */
  readonly services: readonly ServiceSpec[];
  readonly registry: Instancer;
  /** Folder of the log files. */
  readonly logs: string;
  /** Told in words of what happens: a process died, came back, did not stop. */
  readonly tell: (happening: string) => void;
  readonly clock?: Clock;
}

interface Service {
  readonly spec: ServiceSpec;
  readonly children: (Child | undefined)[];
  /** What replicas that are gone had served. */
  past: Served;
  restarts: number;
  /** When replicas were last restarted. */
  restartedMs: number[];
  registered: readonly Instance[];
}

/** How a service stands, as the table shows it. */
export interface ServiceState {
  readonly name: string;
  readonly wanted: number;
  /** In the registry. */
  readonly instances: number;
  readonly pids: readonly number[];
  readonly restarts: number;
  readonly served: Served;
}

const stopLimitMs = 30_000;
/** A service whose replicas die so often within a minute is not started again. */
const maxRestarts = 5;
const restartWindowMs = 60_000;

/** The processes of the system: starts them, replaces what dies, stops them in order. */
export class Fleet {
  readonly #services: readonly Service[];
  readonly #options: FleetOptions;
  readonly #clock: Clock;
  readonly #watches: Watch[];
  readonly #failed = Promise.withResolvers<never>();
  #listeners: (() => void)[] = [];
  #stopping = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const nothing = (): Served => ({ calls: 0, refused: 0, errors: 0, latency: createHistogram() });
    this.#services = options.services.map((spec) => ({
      spec,
      children: [],
      past: nothing(),
      restarts: 0,
      restartedMs: [],
      registered: [],
    }));
    this.#watches = this.#services.map((service) =>
      options.registry.watch(service.spec.contract, {
        update: (instances) => {
          service.registered = instances;
          for (const listener of this.#listeners) listener();
        },
        error: (error) => options.tell(`the registry cannot be read: ${error.message}`),
      }),
    );
    this.#failed.promise.catch(() => {});
  }

  /** Rejects when a process cannot be kept running. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Starts all processes and waits until each is in the registry. @throws Error when one ends instead. */
  async start(): Promise<void> {
    for (const service of this.#services) {
      for (let i = 0; i < service.spec.replicas; i++) this.#launch(service, i);
    }
    const up = this.#until(() => this.#services.every((one) => processesOf(one) >= one.spec.replicas));
    await Promise.race([up, this.failed]);
  }

  /** Addresses under which a service is registered. */
  addresses(name: string): string[] {
    const service = this.#services.find((one) => one.spec.name === name);
    return (service?.registered ?? []).map((instance) => instance.address);
  }

  states(): ServiceState[] {
    return this.#services.map((service) => {
      const { spec, children, past, restarts } = service;
      const alive = children.filter((child) => child?.running === true);
      const parts = [past, ...children.map((child) => child?.served).filter((one) => one !== undefined)];
      return {
        name: spec.name,
        wanted: spec.replicas,
        instances: processesOf(service),
        pids: alive.map((child) => child?.pid ?? 0),
        restarts,
        served: {
          calls: total(parts.map((part) => part.calls)),
          refused: total(parts.map((part) => part.refused)),
          errors: total(parts.map((part) => part.errors)),
          latency: sum(parts.map((part) => part.latency)),
        },
      };
    });
  }

  /** Stops service after service, callers first. Resolves to what did not end well: nothing, if all is right. */
  async stop(): Promise<string[]> {
    this.#stopping = true;
    const troubles: string[] = [];
    for (const { children } of this.#services) {
      const alive = children.filter((child) => child?.running === true) as Child[];
      await Promise.all(
        alive.map(async (child) => {
          const exit = await child.stop(stopLimitMs);
          if (exit.code !== 0) troubles.push(`${child.name} did not stop well: ${inWords(exit)}\n${child.lastWords()}`);
        }),
      );
    }
    for (const watch of this.#watches) watch.stop();
    return troubles;
  }

  #launch(service: Service, i: number): void {
    const { name, file, env, replicas } = service.spec;
    const full = replicas === 1 ? name : `${name}-${i + 1}`;
    const child = startChild({ name: full, file, env, log: join(this.#options.logs, `${full}.log`) });
    service.children[i] = child;
    void child.exited.then((exit) => this.#replace(service, i, child, exit));
  }

  /** Waits for a dead replica's lease to run out, as for any lost machine, and starts another. */
  async #replace(service: Service, i: number, child: Child, exit: Exit): Promise<void> {
    if (this.#stopping || exit.asked) return;
    const { tell } = this.#options;
    const diedAt = this.#clock.now();
    const known = this.#isRegistered(service, child);
    tell(`${child.name} (pid ${child.pid}) ${inWords(exit)}`);
    service.restartedMs = service.restartedMs.filter((atMs) => diedAt - atMs < restartWindowMs);
    if (!known || service.restartedMs.length >= maxRestarts) {
      const why = known ? "and its like die again and again" : "ended before it was ready";
      this.#failed.reject(new Error(`${child.name} ${why}:\n${child.lastWords()}`));
      return;
    }
    await this.#until(() => !this.#isRegistered(service, child));
    if (this.#stopping) return;
    tell(`${child.name} left the registry ${seconds(this.#clock.now() - diedAt)} after its death; starting another`);
    const served = child.served;
    if (served !== undefined) service.past = add(service.past, served);
    service.restarts++;
    service.restartedMs.push(this.#clock.now());
    this.#launch(service, i);
    const next = service.children[i] as Child;
    await this.#until(() => this.#isRegistered(service, next));
    tell(`${next.name} is back (pid ${next.pid})`);
  }

  #isRegistered(service: Service, child: Child): boolean {
    return service.registered.some((instance) => instance.metadata?.["pid"] === String(child.pid));
  }

  /** Resolves when the condition holds; looked at whenever the registry changes. */
  #until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const listener = () => {
        if (!condition()) return;
        this.#listeners = this.#listeners.filter((other) => other !== listener);
        resolve();
      };
      this.#listeners.push(listener);
    });
  }
}

/** How many processes are registered: one that speaks several protocols is there under an address for each. */
function processesOf({ registered }: Service): number {
  return new Set(registered.map(({ metadata }) => metadata?.["pid"])).size;
}

function inWords({ code, signal }: Exit): string {
  return signal === null ? `ended with status ${code}` : `was ended by ${signal}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}

function add(a: Served, b: Served): Served {
  return {
    calls: a.calls + b.calls,
    refused: a.refused + b.refused,
    errors: a.errors + b.errors,
    latency: sum([a.latency, b.latency]),
  };
}
