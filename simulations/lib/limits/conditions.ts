import { constant, type Distribution, exponential, mixture } from "flotilla/sim";
import type { Condition, Work } from "./condition.ts";

/** Nine of ten take half the mean, the tenth five and a half times: a variance of 2.25 times the mean's square. */
const heavy = (mean: number): Distribution =>
  mixture([
    [0.9, constant(mean / 2)],
    [0.1, constant(mean * 5.5)],
  ]);

const shapes = { even: constant, chance: exponential, heavy };
type Shape = keyof typeof shapes;

const only = (work: Omit<Work, "share">): readonly Work[] => [{ share: 1, ...work }];

/** Handlers that compute: 10 ms on one core, and 100, 200, 400 calls a second in all. */
function computing(cores: 1 | 4 | 16, shape: Shape): Condition {
  const ms = { 1: 10, 4: 20, 16: 40 }[cores];
  const name = `cpu ${cores}, ${shape}`;
  return { name, cores, work: only({ cpu: shapes[shape](ms) }), perSecond: (1000 * cores) / ms, timeoutMs: 1000 };
}

/** Handlers that wait for something that takes its time however many do: there is nothing to be held back. */
function waiting(shape: Shape): Condition {
  const work = only({ cpu: constant(0.1), wait: shapes[shape](100) });
  return { name: `io, ${shape}`, cores: 1, work, perSecond: 300, timeoutMs: 4000 };
}

/** Handlers that compute a tenth of their time. */
function both(cores: 1 | 4, shape: Shape): Condition {
  const ms = { 1: 5, 4: 10 }[cores];
  const work = only({ cpu: shapes[shape](ms), wait: shapes[shape](9 * ms) });
  return { name: `mixed ${cores}, ${shape}`, cores, work, perSecond: (1000 * cores) / ms, timeoutMs: 1000 };
}

/** A method that computes, and one of ten calls to another that waits four hundred times as long. */
const methods: Condition = {
  name: "two methods",
  cores: 1,
  work: [
    { share: 0.9, cpu: exponential(5) },
    { share: 0.1, cpu: constant(0.2), wait: exponential(2000) },
  ],
  perSecond: 210,
  timeoutMs: 10_000,
};

/** What limits are compared on each time. */
export const few: readonly Condition[] = [
  computing(1, "even"),
  computing(1, "chance"),
  computing(1, "heavy"),
  computing(4, "chance"),
  computing(16, "heavy"),
  waiting("chance"),
  both(1, "chance"),
  both(4, "even"),
  methods,
];

/** All of them. */
export const all: readonly Condition[] = [
  ...([1, 4, 16] as const).flatMap((cores) => (["even", "chance", "heavy"] as const).map((s) => computing(cores, s))),
  ...(["even", "chance", "heavy"] as const).map(waiting),
  ...([1, 4] as const).flatMap((cores) => (["even", "chance", "heavy"] as const).map((s) => both(cores, s))),
  methods,
];
