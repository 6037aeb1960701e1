import { adaptiveLimit, type LimitFactory } from "flotilla/resilience";
import { aimd } from "./aimd.ts";
import { bbr } from "./bbr.ts";
import type { Condition } from "./condition.ts";
import { envoyGradient } from "./envoy-gradient.ts";
import { failsafe } from "./failsafe.ts";
import { gradient2 } from "./gradient2.ts";
import { noLimit } from "./no-limit.ts";
import { vegas } from "./vegas.ts";

/** What a limit is made with that needs to know more than calls. */
export interface Surroundings {
  readonly random: () => number;
  /** Share of the processor that is busy, smoothed. */
  readonly cpu: () => number;
  readonly condition: Condition;
}

export type LimitMaker = (surroundings: Surroundings) => LimitFactory;

/** Ours first. */
export const family: Readonly<Record<string, LimitMaker>> = {
  flotilla: () => adaptiveLimit(),
  vegas: ({ random }) => vegas(random),
  gradient2: () => gradient2,
  aimd: ({ condition }) => aimd(10 * longest(condition)),
  envoy: ({ random }) => envoyGradient(random),
  failsafe: () => failsafe,
  bbr: ({ cpu }) => bbr(cpu),
  none: () => noLimit,
};

/** What calls of the slower method take on average, unloaded: what somebody has to know for AIMD. */
function longest({ work }: Condition): number {
  return Math.max(...work.map(({ cpu, wait }) => (cpu?.mean ?? 0) + (wait?.mean ?? 0)));
}
