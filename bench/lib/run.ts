import type { Machine } from "./machine.ts";
import { LEAST_ROUNDS, type Plan } from "./options.ts";
import { type Measurement, nothingToClose, type Scenario, type Stage, type Subject } from "./scenario.ts";
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

/** A row in the course of a run. */
interface Lane {
  readonly name: string;
  readonly measurements: Measurement[];
  subject: Subject | undefined;
  failure: string | undefined;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Measures the rows in turn, round after round: A B C A B C … In a full run every process is started anew several times,
 * because one process is a little faster or slower than the next for as long as it lives (where its memory lies, when its code was
 * compiled), which no number of rounds averages out.
 */
export async function runScenario(
  scenario: Scenario,
  plan: Plan,
  machine: Machine,
  progress: Progress,
): Promise<RowResult[]> {
  const lanes = plan.rows.map((name): Lane => ({ name, measurements: [], subject: undefined, failure: undefined }));
  let round = 0;
  for (let start = 1; start <= plan.starts; start++) {
    const stage = await scenario.stage(machine, plan.fine);
    try {
      progress(`start ${start}/${plan.starts}: ${plan.rows.join(", ")}; ${machine.pinning}`);
      await Promise.all(lanes.map((lane) => openLane(lane, stage, progress)));
      await measureRound(lanes, plan.warmUpSeconds, "warm-up", progress, () => {});
      const last = Math.round((plan.rounds * start) / plan.starts);
      for (; round < last && !(round >= LEAST_ROUNDS && performance.now() > plan.untilMs); round++) {
        const label = round % plan.progressEvery === 0 ? `round ${round + 1}/${plan.rounds}` : "";
        await measureRound(lanes, plan.seconds, label, progress, (lane, measurement) =>
          lane.measurements.push(measurement),
        );
      }
    } finally {
      await Promise.allSettled(lanes.map((lane) => lane.subject?.close() ?? nothingToClose()));
      await stage.close();
    }
  }
  const reference = lanes.find((lane) => lane.name === scenario.reference);
  return lanes.map((lane) => resultOf(lane, reference));
}

async function openLane(lane: Lane, stage: Stage, progress: Progress): Promise<void> {
  lane.subject = undefined;
  if (lane.failure !== undefined) return;
  try {
    lane.subject = await stage.open(lane.name);
  } catch (error) {
    lane.failure = messageOf(error);
    progress(`${lane.name}: unavailable: ${lane.failure}`);
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
  if (label !== "") progress(`${label}: ${figures.join("  ")}`);
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
