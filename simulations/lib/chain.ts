import { contract, unary } from "flotilla/contract";
import type { Middleware } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { implement, serverDefaults } from "flotilla/service";
import type { Process, SimChannelOptions, World } from "flotilla/sim";
import { z } from "zod";

const step = z.object({ n: z.number() });

/** A service of one method, safe to repeat. */
const tier = (name: string) =>
  contract(`sim.v1.${name}`, { go: unary({ input: step, output: step, idempotent: true }) });

export const Front = tier("Front");
const Middle = tier("Middle");
const Back = tier("Back");

/** What came to a tier. */
export interface Counts {
  /** Attempts that were made to call it. */
  readonly sent: number;
  /** Calls its handlers began. */
  readonly handled: number;
}

/** How a chain is set up. */
export interface ChainOptions {
  readonly channel: SimChannelOptions;
  readonly ours: boolean;
  /** Share of the calls of the last tier that fail now. */
  readonly failing: () => number;
}

/** Three tiers of two machines each, each calling the next; the last one fails when told so, and can do 200 calls a second. */
export class Chain {
  readonly #options: ChainOptions;
  readonly #sent = [0, 0, 0];
  readonly #handled = [0, 0, 0];

  constructor(options: ChainOptions) {
    this.#options = options;
  }

  /** Front, middle and back, so far. */
  get counts(): readonly Counts[] {
    return this.#sent.map((sent, i) => ({ sent, handled: this.#handled[i]! }));
  }

  async open(world: World): Promise<void> {
    const random = world.random("failures");
    const { failing } = this.#options;
    await this.#tier(world, 2, Back, async (process) => {
      await process.compute(10);
      if (random.next() < failing()) throw new ServiceError("unavailable", "broken");
    });
    await this.#tier(world, 1, Middle, (process) => process.compute(2.5), Back);
    await this.#tier(world, 0, Front, (process) => process.compute(2.5), Middle);
  }

  /** What calls the front, from a process outside. */
  channel(): SimChannelOptions {
    return this.#counting(0);
  }

  #counting(to: number): SimChannelOptions {
    const count: Middleware = (next) => (ctx, request) => {
      this.#sent[to]!++;
      return next(ctx, request);
    };
    return { ...this.#options.channel, perInstance: () => [count] };
  }

  async #tier(
    world: World,
    i: number,
    served: typeof Front,
    work: (process: Process) => Promise<void>,
    next?: typeof Front,
  ): Promise<void> {
    await world.machines(
      served.name.slice(served.name.lastIndexOf(".") + 1).toLowerCase(),
      2,
      async (process) => {
        const below = next === undefined ? undefined : process.client(next, this.#counting(i + 1));
        const service = implement(
          served,
          {
            go: async (ctx, request) => {
              this.#handled[i]!++;
              await work(process);
              return below === undefined ? request : below.go(ctx, request);
            },
          },
          { validateOutput: false },
        );
        const use = this.#options.ours ? serverDefaults({ clock: process.clock }) : [];
        await process.host({ serve: [service], use });
      },
      { receiveMs: 0.02 },
    );
  }
}
