import { seededRandom } from "flotilla/clock";
import { type Phase, type Played, play, type Span, unloaded } from "../lib/limit-bed.ts";
import type { Condition } from "../lib/limits/condition.ts";
import { all, few } from "../lib/limits/conditions.ts";
import { family, type LimitMaker } from "../lib/limits/family.ts";
import type { Expectation, Result, Row, Run, Scenario } from "../lib/scenario.ts";

const phases: readonly Phase[] = [
  { name: "half", seconds: 10, load: 0.5 },
  { name: "busy", seconds: 20, load: 0.8 },
  { name: "3x", seconds: 15, load: 3 },
  { name: "after 3x", seconds: 15, load: 0.8 },
  { name: "5x", seconds: 15, load: 5 },
  { name: "after 5x", seconds: 15, load: 0.8 },
  { name: "slow", seconds: 15, load: 0.5, slow: 5 },
  { name: "back", seconds: 10, load: 0.8 },
];

/** Calls of a condition for which there is a most that can be served. */
const isBounded = ({ name }: Condition): boolean => !name.startsWith("io");

/** What stands out, each as it should be read; and how good it is, from 0 to 1. */
interface Figures {
  readonly figures: Record<string, number>;
  readonly scores: readonly number[];
}

function judge(condition: Condition, played: Played): Figures {
  const random = seededRandom(1);
  const typical = condition.work.map((work) => unloaded({ random }, work, condition.timeoutMs));
  const peak = (slow: number): number => condition.perSecond / slow;
  const served = (span: Span, slow = 1): number =>
    isBounded(condition) ? span.ok / span.seconds / peak(slow) : span.ok / span.began;
  const slower = ({ latency }: Span): number =>
    Math.max(...latency.map((of, i) => of.quantile(0.99) / typical[i]!.quantile(0.99)));
  const refused = ({ refused: lost, began }: Span): number => lost / began;

  // Without the beginning, and without those that waited until it was over.
  const surges = ["3x", "5x"].map((name) => ({ all: played.phase(name), settled: played.phase(name, 2, 14) }));
  const goodput = Math.min(...surges.map((surge) => served(surge.all)));
  const p99 = Math.max(...surges.map((surge) => slower(surge.settled)));
  const healthy = Math.max(refused(played.phase("half")), refused(played.phase("busy")));
  const after = Math.max(...["after 3x", "after 5x"].map((name) => refused(played.phase(name, 5))));
  const slow = served(played.phase("slow"), 5);
  const back = refused(played.phase("back", 3));
  return {
    figures: {
      "served %": goodput * 100,
      "p99 x": p99,
      "refused %": healthy * 100,
      "after %": after * 100,
      "slow %": slow * 100,
      "back %": back * 100,
    },
    scores: [
      Math.min(1, goodput / 0.95),
      Math.min(1, 3 / p99),
      Math.max(0, 1 - 10 * healthy),
      Math.max(0, 1 - 10 * after),
      Math.min(1, slow / 0.9),
      Math.max(0, 1 - 10 * back),
    ],
  };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);
/** Nothing makes up for a collapse. */
const geometric = (values: readonly number[]): number =>
  Math.exp(mean(values.map((value) => Math.log(Math.max(0.001, value)))));

/** How far the limit is after ten minutes at 1.3 times what can be served from where it was at first, as a share. */
async function drift(seed: number, make: LimitMaker): Promise<Figures> {
  const condition = few.find(({ name }) => name === "cpu 1, chance")!;
  const played = await play(seed, condition, [{ name: "1.3x", seconds: 600, load: 1.3 }], make);
  const early = mean(played.limits.slice(60, 180));
  const late = mean(played.limits.slice(480, 600));
  const moved = Math.abs(late - early) / early;
  const span = played.phase("1.3x");
  const goodput = span.ok / span.seconds / condition.perSecond;
  return {
    figures: { "served %": goodput * 100, "drift %": moved * 100 },
    scores: [Math.min(1, goodput / 0.95), Math.min(1, 0.2 / Math.max(0.001, moved))],
  };
}

export const limits: Scenario = {
  name: "limits",
  summary: "the same gate with each limit of the family, on services of many kinds, at ease and overloaded",
  async run({ seed, full, progress }: Run): Promise<Result> {
    const conditions = full ? all : few;
    const rows: Row[] = [];
    const details: Row[] = [];
    const totals: Record<string, { total: number; worst: number }> = {};
    const lines: { readonly name: string; readonly played: Played }[] = [];
    for (const [name, make] of Object.entries(family)) {
      const scores: Record<string, number> = {};
      for (const condition of conditions) {
        progress(`${name}: ${condition.name}`);
        const played = await play(seed, condition, phases, make);
        const { figures, scores: of } = judge(condition, played);
        scores[condition.name] = geometric(of) * 100;
        details.push({ name: `${name}: ${condition.name}`, figures });
        if (condition.name === "two methods") lines.push({ name, played });
      }
      progress(`${name}: 10 minutes at 1.3x`);
      const drifted = await drift(seed, make);
      scores["1.3x"] = geometric(drifted.scores) * 100;
      details.push({ name: `${name}: 1.3x for 10 min`, figures: drifted.figures });
      const all = Object.values(scores);
      totals[name] = { total: mean(all), worst: Math.min(...all) };
      rows.push({ name, figures: { total: mean(all), worst: Math.min(...all), ...scores } });
    }
    const { flotilla, ...others } = totals;
    const best = Math.max(...Object.values(others).map(({ total }) => total));
    const expectations: Expectation[] = [
      { what: "score of ours, of 100", figure: flotilla!.total, min: 90 },
      { what: "score of ours on what it likes least", figure: flotilla!.worst, min: 70 },
      { what: "score of ours above the best of the others", figure: flotilla!.total - best, min: -1 },
    ];
    return {
      rows: [...rows, ...details],
      expectations,
      panels: [
        {
          title:
            "Served in time: a method that computes and one that waits, at 0.5, 0.8, 3, 0.8, 5, 0.8 times the load",
          unit: "calls/s",
          mark: { name: "capacity", at: 210 },
          lines: lines.slice(0, -1).map(({ name, played }) => ({ name, values: played.servedPerSecond })),
        },
      ],
    };
  },
};
