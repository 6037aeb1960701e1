import type { Clock } from "../clock/clock.ts";
import { type Distribution, distributionOf } from "../clock/distribution.ts";
import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import { background } from "../context/with.ts";
import type { Client, Contract } from "../contract/contract.ts";
import type { Endpoint, Middleware } from "../endpoint/endpoint.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { Connector, Listener } from "../endpoint/transport.ts";
import { type Channel, type ChannelOptions, channel, client } from "../service/channel.ts";
import { host } from "../service/host.ts";
import type { HostOptions, RunningHost } from "../service/host-options.ts";
import { Calling } from "../wire/calling.ts";
import { InFlight } from "../wire/in-flight.ts";
import { settleWire } from "../wire/options.ts";
import { Serving } from "../wire/serving.ts";
import { Cpu } from "./cpu.ts";
import type { Network } from "./network.ts";
import { type Port, Route, type Site } from "./port.ts";
import { type ClockSkew, ProcessClock } from "./process-clock.ts";
import type { SimRegistry } from "./registry.ts";
import type { End, Share } from "./remote-call.ts";

/** The name under which simulated addresses stand: `sim://routing-1`. */
const PROTOCOL = "sim";
// Calls come from the world's clock alone: it cannot be starved, and is nobody's.
const wire = { ...settleWire(PROTOCOL, {}), yields: false, apart: false, counts: false };

/** What all machines of a world share. */
export interface Surroundings {
  readonly clock: Clock;
  readonly network: Network;
  readonly registry: SimRegistry;
  /** Chance for one purpose, the same in every run with the same seed. */
  random(purpose: string): Random;
  /** What stands for an address, always the same. */
  port(address: string): Port;
}

/** The machine a process runs on. */
export interface Hardware extends Site {
  readonly cores: number;
  readonly skew: ClockSkew;
}

/** What a channel of a simulated process is told; the rest is filled in from the process. */
export type SimChannelOptions = Partial<Omit<ChannelOptions, "transport" | "clock" | "random">>;

/** What a host of a simulated process is told; the rest is filled in from the process. */
export type SimHostOptions = Partial<Omit<HostOptions, "listen" | "clock" | "admin">>;

/**
 * One life of the program on a machine: what runs between a start and the next stop or crash. Its clock, chance, connections
 * and event loop die with it.
 */
export class Process implements End {
  readonly place: Hardware;
  readonly clock: ProcessClock;
  /** Chance of its own, so that what one process draws changes nothing for the others. */
  readonly random: Random;
  /** Root of the contexts of this process. */
  readonly ctx: Context;
  /** @internal */
  readonly calls = new InFlight<Share>();
  readonly #world: Surroundings;
  readonly #cpu: Cpu;
  readonly #listening = new Set<string>();
  readonly #hosts: RunningHost[] = [];
  readonly #channels: Channel[] = [];
  #alive = true;

  constructor(world: Surroundings, place: Hardware, random: Random) {
    this.#world = world;
    this.place = place;
    this.random = random;
    this.#cpu = new Cpu(world.clock, place.cores);
    this.clock = new ProcessClock(world.clock, this.#cpu, place.skew);
    this.ctx = background(this.clock);
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** The processor: how many tasks wait, how many cores work, what has been done. */
  get cpu(): Cpu {
    return this.#cpu;
  }

  /** Runs something on the event loop; see `End`. */
  onLoop(costMs: number, run: () => void): void {
    this.#cpu.run(costMs, run);
  }

  /** Keeps a core busy for so long; resolves when it is done. Others wait meanwhile, as behind synchronous code. */
  compute(costMs: number): Promise<void> {
    return new Promise((resolve) => this.#cpu.run(costMs, resolve));
  }

  /** A middleware that makes each call cost the processor what is drawn. Put it innermost: the rest of the stack costs nothing. */
  work(cost: number | Distribution): Middleware {
    const distribution = distributionOf(cost);
    const process = this;
    return <Req, Res>(next: Endpoint<Req, Res>): Endpoint<Req, Res> =>
      function work(ctx, request) {
        // An async function would do, at twice the price: this runs once a simulated call.
        return new Promise((resolve, reject) => {
          const serve = (): void => {
            try {
              next(ctx, request).then(resolve, reject);
            } catch (error) {
              reject(error);
            }
          };
          process.#cpu.run(distribution.sample(process.random), serve);
        });
      };
  }

  /** Where hosts of this process listen. */
  listener(name = this.place.name): Listener {
    return {
      protocol: PROTOCOL,
      listen: async (services, root) => {
        const address = `${PROTOCOL}://${name}`;
        if (this.#listening.has(address)) throw new Error(`sim: cannot listen on ${address}: the name is in use`);
        const port = this.#world.port(address);
        const listening = new Serving(address, wire, services, root, () => {
          port.close(this);
          this.#listening.delete(address);
        });
        this.#listening.add(address);
        port.open(this.place, this, listening);
        return listening;
      },
    };
  }

  /** How clients of this process call others. */
  connector(): Connector {
    return {
      protocol: PROTOCOL,
      connect: (address) => {
        const { network } = this.#world;
        return new Calling(address, wire, new Route(network, this, this.#world.port(address)));
      },
    };
  }

  /** Starts a host that listens on this machine, registered where the world registers. */
  async host(options: SimHostOptions): Promise<RunningHost> {
    const { name, zone } = this.place;
    const instance: Partial<Instance> = { id: name, ...(zone !== undefined && { zone }), metadata: { pid: "1" } };
    const running = await host({
      name,
      register: this.#world.registry.from(this),
      onEvent: () => {},
      ...options,
      instance: { ...instance, ...options.instance },
      listen: [this.listener()],
      admin: false,
      clock: this.clock,
    }).start();
    this.#hosts.push(running);
    return running;
  }

  /** Opens a channel from this process. */
  channel(options: SimChannelOptions = {}): Channel {
    const opened = channel({
      discover: this.#world.registry.from(this),
      ...options,
      transport: this.connector(),
      clock: this.clock,
      random: this.random,
    });
    this.#channels.push(opened);
    return opened;
  }

  /** A client with a channel of its own from this process. */
  client<C extends Contract>(contract: C, options: SimChannelOptions = {}): Client<C> {
    return client(contract, this.channel(options));
  }

  /** Ends hosts and channels in order, as on SIGTERM. */
  async stop(): Promise<void> {
    for (const running of this.#hosts.toReversed()) await running.stop();
    await Promise.all(this.#channels.map((opened) => opened.close()));
  }

  /** Ends at once. @param silent - without a word to those it talked to, as when the power fails. */
  kill(silent: boolean): void {
    this.#alive = false;
    this.#cpu.halt();
    for (const share of this.calls.all()) {
      this.calls.delete(share);
      if (!silent) share.died();
    }
  }
}
