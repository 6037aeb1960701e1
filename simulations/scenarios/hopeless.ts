import { contract, unary } from "flotilla/contract";
import { implement, serverDefaults } from "flotilla/service";
import { type Process, type SimChannelOptions, simulate, type Traffic, uniform, type World } from "flotilla/sim";
import { z } from "zod";
import type { Result, Run, Scenario } from "../lib/scenario.ts";

const step = z.object({ n: z.number() });
const tier = (name: string) =>
  contract(`sim.v1.${name}`, { go: unary({ input: step, output: step, idempotent: true }) });
const Front = tier("Front");
const Back = tier("Back");

/** What the machine behind can do, calls a second. */
const CAPACITY = 100;
const COST = uniform(8, 12);
/** Calls a second of either kind; together far more than can be done. */
const OFFERED = 80;
const PATIENT_MS = 50;
/** Less than the cheapest call takes on its way through both tiers. */
const HURRIED_MS = 9;
const SECONDS = 60;

interface Outcome {
  readonly patient: Traffic;
  readonly hurried: Traffic;
  /** Calls that the handler behind has begun. */
  readonly begun: number;
}

/** Two tiers of one machine each. */
async function openTiers(world: World, checked: boolean, count: () => void): Promise<void> {
  const check = checked ? {} : { deadlineCheck: false as const };
  const use = (process: Process) => serverDefaults({ clock: process.clock, ...check });
  const towards: SimChannelOptions = check;
  await world.machines("back", 1, async (process) => {
    const back = implement(
      Back,
      {
        async go(_ctx, request) {
          count();
          await process.compute(COST.sample(process.random));
          return request;
        },
      },
      { validateOutput: false },
    );
    await process.host({ serve: [back], use: use(process) });
  });
  await world.machines("front", 1, async (process) => {
    const next = process.client(Back, towards);
    const front = implement(
      Front,
      {
        async go(ctx, request) {
          await process.compute(0.5);
          return next.go(ctx, request);
        },
      },
      { validateOutput: false },
    );
    await process.host({ serve: [front], use: use(process) });
  });
}

function play(seed: number, checked: boolean): Promise<Outcome> {
  return simulate({ seed }, async (world) => {
    let begun = 0;
    await openTiers(world, checked, () => begun++);
    const caller = await world.caller("caller");
    const front = caller.client(Front, { retry: false, throttle: false, deadlineCheck: false });
    const traffic = (name: string, timeoutMs: number): Traffic =>
      world.traffic(name, {
        perSecond: OFFERED,
        timeoutMs,
        ctx: caller.ctx,
        call: (ctx, n) => front.go(ctx, { n }),
      });
    const patient = traffic("patient", PATIENT_MS);
    const hurried = traffic("hurried", HURRIED_MS);
    await world.run(SECONDS * 1000);
    return { patient, hurried, begun };
  });
}

export const hopeless: Scenario = {
  name: "hopeless",
  summary: "half of the callers of two tiers wait for less time than a call takes",
  async run({ seed, progress }: Run): Promise<Result> {
    const rows = [];
    const lines = [];
    const served = [];
    for (const checked of [false, true]) {
      const name = checked ? "with the deadline check" : "without the deadline check";
      progress(name);
      const { patient, hurried, begun } = await play(seed, checked);
      // From when it is known what calls take.
      const [able, unable] = [patient.between(5000), hurried.between(5000)];
      served.push(able.ok / able.began);
      rows.push({
        name,
        figures: {
          "served of who waits long enough": able.ok / able.began,
          "of the others": unable.ok / unable.began,
          "p99 ms": able.latency.quantile(0.99),
          "begun behind/s": begun / SECONDS,
        },
      });
      lines.push({ name, values: patient.intervals.map(({ ok }) => ok) });
    }
    const [without, withIt] = served as [number, number];
    return {
      rows,
      expectations: [
        { what: "served of those who wait long enough", figure: withIt, min: 0.8 },
        { what: "times as many as without the check", figure: withIt / without, min: 1.3 },
      ],
      panels: [
        {
          title: `Served in time of those who wait long enough (capacity ${CAPACITY})`,
          unit: "calls/s",
          lines,
          mark: { name: "offered", at: OFFERED },
        },
      ],
    };
  },
};
