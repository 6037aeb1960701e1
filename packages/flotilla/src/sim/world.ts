import { channel } from "node:diagnostics_channel";
import { type Random, seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { Machine, type MachineOptions, type Program } from "./machine.ts";
import { Network, type NetworkOptions } from "./network.ts";
import { Port } from "./port.ts";
import type { Process, Surroundings } from "./process.ts";
import { type RegistryOptions, SimRegistry } from "./registry.ts";
import { Traffic, type TrafficOptions } from "./traffic.ts";

/** Options of {@link simulate}. */
export interface WorldOptions {
  /** What all chance comes from: the same seed gives the same run, byte for byte. Any integer. */
  readonly seed: number;
  readonly network?: NetworkOptions;
  readonly registry?: RegistryOptions;
  /** Length of the intervals that traffic and samples are told by, milliseconds, above 0. Default 1000. */
  readonly intervalMs?: number;
  /** Called about every 4096 events, for a sign of life; what it throws ends the run. */
  readonly onProgress?: (world: World) => void;
}

/** A value looked at once an interval. */
export interface Sample {
  readonly name: string;
  readonly values: readonly number[];
}

/**
 * A world of machines, a network between them and a registry, in virtual time. What runs on the machines is real: hosts,
 * channels, policies, balancers, and the user's own contracts and handlers.
 */
export class World implements Surroundings {
  readonly seed: number;
  readonly clock = new VirtualClock();
  readonly network: Network;
  readonly registry: SimRegistry;
  readonly intervalMs: number;
  readonly #options: WorldOptions;
  readonly #machines = new Map<string, Machine>();
  readonly #ports = new Map<string, Port>();
  readonly #traffic: Traffic[] = [];
  readonly #samples: Sample[] = [];
  #failure: { readonly error: unknown; readonly atMs: number } | undefined;

  /** @throws RangeError when an option is not legal, naming it. */
  constructor(options: WorldOptions) {
    const { seed, intervalMs = 1000 } = options;
    if (!Number.isInteger(seed)) throw new RangeError(`simulate: seed must be a whole number, got ${seed}`);
    if (!(intervalMs > 0)) throw new RangeError(`simulate: intervalMs must be above 0, got ${intervalMs}`);
    this.seed = seed;
    this.intervalMs = intervalMs;
    this.#options = options;
    this.network = new Network(this.clock, this.random("network"), options.network, () => [
      ...this.#machines.keys(),
      this.registry.place.name,
    ]);
    this.registry = new SimRegistry(this.clock, this.network, options.registry);
  }

  /** Chance for one purpose: drawing more for one changes nothing for another. */
  random(purpose: string): Random {
    let hash = this.seed | 0;
    for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193) + 1;
    return seededRandom(hash);
  }

  /**
   * Adds a machine and starts its program.
   *
   * @throws RangeError when an option is not legal, TypeError when the name is taken.
   */
  async machine(name: string, program: Program, options: MachineOptions = {}): Promise<Machine> {
    if (this.#machines.has(name)) throw new TypeError(`simulate: there is a machine "${name}" already`);
    const machine = new Machine(this, name, program, options);
    this.#machines.set(name, machine);
    await this.#through(machine.start());
    return machine;
  }

  /** Adds machines `NAME-1` to `NAME-n` that run the same program. */
  async machines(name: string, n: number, program: Program, options: MachineOptions = {}): Promise<Machine[]> {
    const made: Machine[] = [];
    const starts: Promise<unknown>[] = [];
    for (let i = 1; i <= n; i++) {
      const one = `${name}-${i}`;
      if (this.#machines.has(one)) throw new TypeError(`simulate: there is a machine "${one}" already`);
      const machine = new Machine(this, one, program, options);
      this.#machines.set(one, machine);
      made.push(machine);
      starts.push(machine.start());
    }
    await this.#through(Promise.all(starts));
    return made;
  }

  /** A machine that only calls: its process. */
  async caller(name: string, options: MachineOptions = {}): Promise<Process> {
    const machine = await this.machine(name, () => {}, options);
    return machine.process!;
  }

  /** Makes calls from now on, in an open loop. */
  traffic(name: string, options: TrafficOptions): Traffic {
    const traffic = new Traffic(name, options, this.clock, this.random(`traffic ${name}`), this.intervalMs);
    this.#traffic.push(traffic);
    return traffic;
  }

  /** Looks at a value at the end of each interval from now on. */
  sample(name: string, look: () => number): Sample {
    const values: number[] = [];
    const again = (): void => {
      values.push(look());
      this.clock.schedule(this.intervalMs, again);
    };
    this.clock.schedule(this.intervalMs, again);
    const sample = { name, values };
    this.#samples.push(sample);
    return sample;
  }

  /** All traffic so far. */
  get allTraffic(): readonly Traffic[] {
    return this.#traffic;
  }

  /** All samples so far. */
  get allSamples(): readonly Sample[] {
    return this.#samples;
  }

  /**
   * Lets so much time pass, milliseconds.
   *
   * @throws what an act (see `at`) has thrown.
   */
  async run(ms: number): Promise<void> {
    const { onProgress } = this.#options;
    await this.clock.run(ms, () => {
      this.#check();
      onProgress?.(this);
    });
    this.#check();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Calls `act` when the world is that old, milliseconds; it may be asynchronous in virtual time. What it throws ends the run. */
  at(ms: number, act: () => unknown): void {
    this.clock.schedule(ms - this.clock.now(), () => {
      Promise.resolve()
        .then(act)
        .catch((error: unknown) => {
          this.#failure ??= { error, atMs: this.clock.now() };
          this.clock.schedule(0, () => this.#check());
        });
    });
  }

  /** When this was thrown, milliseconds: by an act before now, or just now. */
  thrownAtMs(error: unknown): number {
    const failure = this.#failure;
    return failure !== undefined && failure.error === error ? failure.atMs : this.clock.now();
  }

  port(address: string): Port {
    let port = this.#ports.get(address);
    if (port === undefined) this.#ports.set(address, (port = new Port(address)));
    return port;
  }

  /** Lets time pass until something in it is done. */
  async #through<T>(work: Promise<T>): Promise<T> {
    const state = { over: false };
    const end = (): void => {
      state.over = true;
    };
    work.then(end, end);
    while (!state.over) await this.clock.run(STEP_MS);
    return work;
  }
}

/** Time passes in such steps while a machine starts, milliseconds. */
const STEP_MS = 10;

const began = channel("flotilla.sim.began");
const ended = channel("flotilla.sim.ended");

/**
 * Runs a simulation.
 *
 * ```ts
 * await simulate({ seed: 7 }, async (world) => {
 *   await world.machines("shop", 4, async (process) => {
 *     await process.host({ serve: [implement(Shop, shop, { use: [process.work(exponential(10))] })] });
 *   });
 *   const customer = await world.caller("customer");
 *   const shop = customer.client(Shop);
 *   const orders = world.traffic("orders", { perSecond: 200, ctx: customer.ctx, call: (ctx) => shop.order(ctx, { sku: "a" }) });
 *   await world.run(60_000);
 *   assert.ok(orders.between().latency.quantile(0.99) < 100);
 * });
 * ```
 *
 * The diagnostics channels `flotilla.sim.began` and `flotilla.sim.ended` are told of the {@link World}: for those who want to know how
 * fast it goes, which is nothing that the result of a simulation may say.
 *
 * @throws whatever the scenario throws, the seed said in its message; what is no error, or frozen, as the cause of one.
 */
export async function simulate<T>(options: WorldOptions, scenario: (world: World) => Promise<T>): Promise<T> {
  const world = new World(options);
  began.publish(world);
  try {
    return await scenario(world);
  } catch (error) {
    const at = (world.thrownAtMs(error) / 1000).toFixed(3);
    throw telling(error, `(simulation with seed ${options.seed}, after ${at} s of virtual time)`);
  } finally {
    ended.publish(world);
  }
}

/** The error with a line more, in its stack too: that is what is printed of it, made before anybody could say so. */
function telling(error: unknown, line: string): unknown {
  if (!(error instanceof Error) || Object.isFrozen(error)) {
    return new Error(`${error instanceof Error ? error.message : String(error)}\n${line}`, { cause: error });
  }
  const { message, stack = "" } = error;
  error.message = `${message}\n${line}`;
  if (!stack.includes(line)) error.stack = stack.replace(message, () => error.message);
  return error;
}
