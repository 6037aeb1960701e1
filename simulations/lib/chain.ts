import { contract, unary } from "flotilla/contract";
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

/** What became of the calls of a chain, by tier. */
export interface Counts {
  front: number;
  middle: number;
  back: number;
}

/** How a chain is set up. */
export interface ChainOptions {
  readonly channel: (process: Process) => SimChannelOptions;
  readonly ours: boolean;
  /** Share of the calls of the last tier that fail now. */
  readonly failing: () => number;
}

/** Three tiers of two machines each, each calling the next; the last one fails when told so. */
export async function openChain(world: World, { channel, ours, failing }: ChainOptions): Promise<Counts> {
  const counts: Counts = { front: 0, middle: 0, back: 0 };
  const random = world.random("failures");
  const use = (process: Process) => (ours ? serverDefaults({ clock: process.clock }) : []);
  const options = { cores: 1, receiveMs: 0.02 };
  await world.machines(
    "back",
    2,
    async (process) => {
      const back = implement(
        Back,
        {
          async go(_ctx, request) {
            counts.back++;
            await process.compute(2);
            if (random.next() < failing()) throw new ServiceError("unavailable", "broken");
            return request;
          },
        },
        { validateOutput: false },
      );
      await process.host({ serve: [back], use: use(process) });
    },
    options,
  );
  await world.machines(
    "middle",
    2,
    async (process) => {
      const next = process.client(Back, channel(process));
      const middle = implement(
        Middle,
        {
          async go(ctx, request) {
            counts.middle++;
            await process.compute(0.5);
            return next.go(ctx, request);
          },
        },
        { validateOutput: false },
      );
      await process.host({ serve: [middle], use: use(process) });
    },
    options,
  );
  await world.machines(
    "front",
    2,
    async (process) => {
      const next = process.client(Middle, channel(process));
      const front = implement(
        Front,
        {
          async go(ctx, request) {
            counts.front++;
            await process.compute(0.5);
            return next.go(ctx, request);
          },
        },
        { validateOutput: false },
      );
      await process.host({ serve: [front], use: use(process) });
    },
    options,
  );
  return counts;
}
