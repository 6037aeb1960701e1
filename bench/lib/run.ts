import type { Machine } from "./machine.ts";
import { type Plan, WARM_UP_SECONDS } from "./options.ts";
import { type Measurement, nothingToClose, type Scenario, type Subject } from "./scenario.ts";
import { median } from "./stats.ts";

export interface RowResult {
  readonly name: string;
  /** One figure a round, in the scenario's unit. */
  readonly samples: readonly number[];
  /** Median processor time a call, µs. */
  readonly cpu: number;
  /** Median over the rounds of this row's figure to the reference row's of the same round. */
  readonly ratio: number;
  /** Why the row has no figures. */
  readonly failure?: string;
}

export type Progress = (text: string) => void;

interface Lane {
  readonly name: string;
  readonly subject: Subject | undefined;
  readonly measurements: Measurement[];
  failure: string | undefined;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Opens every row, warms each up, then measures them in turn, round after round: A B C A B C … */
export async function runScenario(
  scenario: Scenario,
  plan: Plan,
  machine: Machine,
  progress: Progress,
): Promise<RowResult[]> {
  const stage = await scenario.stage(machine);
  const lanes: Lane[] = [];
  try {
    progress(`starting ${plan.rows.join(", ")}; ${machine.pinning}`);
    lanes.push(...(await Promise.all(plan.rows.map((name) => openLane(name, () => stage.open(name))))));
    for (const lane of lanes) {
      if (lane.failure !== undefined) progress(`${lane.name}: unavailable: ${lane.failure}`);
    }
    await measureRound(lanes, WARM_UP_SECONDS, "warm-up", progress, () => {});
    for (let round = 1; round <= plan.rounds; round++) {
      await measureRound(lanes, plan.seconds, `round ${round}/${plan.rounds}`, progress, (lane, measurement) =>
        lane.measurements.push(measurement),
      );
    }
  } finally {
    await Promise.allSettled(lanes.map((lane) => lane.subject?.close() ?? nothingToClose()));
    await stage.close();
  }
  const reference = lanes.find((lane) => lane.name === scenario.reference);
  return lanes.map((lane) => resultOf(lane, reference));
}

async function openLane(name: string, open: () => Promise<Subject>): Promise<Lane> {
  try {
    return { name, subject: await open(), measurements: [], failure: undefined };
  } catch (error) {
    return { name, subject: undefined, measurements: [], failure: messageOf(error) };
  }
}

async function measureRound(
  lanes: readonly Lane[],
  seconds: number,
  label: string,
  progress: Progress,
  keep: (lane: Lane, measurement: Measurement) => void,
): Promise<void> {
  const figures: string[] = [];
  for (const lane of lanes) {
    if (lane.subject === undefined || lane.failure !== undefined) continue;
    try {
      const measurement = await lane.subject.measure(seconds);
      keep(lane, measurement);
      figures.push(`${lane.name} ${formatFigure(measurement.value)}`);
    } catch (error) {
      // One failed call fails the row for good: a figure that leaves out failures would flatter it.
      lane.failure = messageOf(error);
      figures.push(`${lane.name} FAILED (${lane.failure})`);
    }
  }
  progress(`${label}: ${figures.join("  ")}`);
}

function resultOf(lane: Lane, reference: Lane | undefined): RowResult {
  const { name, failure, measurements } = lane;
  if (failure !== undefined) return { name, samples: [], cpu: Number.NaN, ratio: Number.NaN, failure };
  const whole = reference?.failure === undefined ? (reference?.measurements ?? []) : [];
  const ratio = median(measurements.map(({ value }, round) => value / (whole[round]?.value ?? Number.NaN)));
  const cpu = median(measurements.map((measurement) => measurement.cpu));
  return { name, samples: measurements.map(({ value }) => value), cpu, ratio };
}

/** Four significant digits below a thousand, whole numbers above. */
export function formatFigure(value: number): string {
  return value >= 1000
    ? Math.round(value).toLocaleString("en-US")
    : value.toPrecision(4).replace(/^(0\.\d{4})\d+$/, "$1");
}
