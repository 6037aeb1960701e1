import { contract, unary } from "flotilla/contract";
import type { Endpoint } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { concurrencyLimit } from "flotilla/resilience";
import { Histogram, type Interval, type Process, simulate, type Traffic } from "flotilla/sim";
import { z } from "zod";
import type { Condition, Work } from "./limits/condition.ts";
import type { LimitMaker } from "./limits/family.ts";

const empty = z.object({});
const Bed = contract("sim.v1.Bed", {
  one: unary({ input: empty, output: empty }),
  other: unary({ input: empty, output: empty }),
});

/** So long at so many times `perSecond`, each call taking so many times as long. */
export interface Phase {
  readonly name: string;
  readonly seconds: number;
  readonly load: number;
  readonly slow?: number;
}

/** What came of the calls that began in a span of time. */
export interface Span {
  readonly seconds: number;
  readonly began: number;
  readonly ok: number;
  /** Turned away at the gate. */
  readonly refused: number;
  /** By method, milliseconds, of those that succeeded. */
  readonly latency: readonly Histogram[];
}

/** What came of the phases. */
export interface Played {
  /** From so many seconds after its beginning to its end, or so many seconds after it. */
  phase(name: string, from?: number, to?: number): Span;
  /** The limit at the end of each second. */
  readonly limits: readonly number[];
  readonly servedPerSecond: readonly number[];
}

const CPU_LOOK_MS = 500;

/** One process behind the gate with a limit, called in an open loop. */
export function play(seed: number, condition: Condition, phases: readonly Phase[], make: LimitMaker): Promise<Played> {
  const { cores, work, perSecond, timeoutMs } = condition;
  return simulate({ seed }, async (world) => {
    const process = await world.caller("server", { cores });
    const { clock, ctx } = process;
    const chance = world.random("limit");
    const timeline = new Timeline(phases);
    const startMs = clock.now();
    const slow = (): number => timeline.at(clock.now() - startMs).slow ?? 1;
    const limit = make({ random: () => chance.next(), cpu: smoothedUse(process), condition });
    const limited = concurrencyLimit({ limit, clock });
    const traffic = work.map((method, i) => {
      const endpoint = limited(handler(process, method, slow), Bed.methods[i]!);
      return world.traffic(`method ${i}`, {
        perSecond: (ms) => timeline.at(ms).load * perSecond * method.share,
        ctx,
        call: async (inner) => {
          await endpoint(inner, {});
          // Nobody waits for it any more.
          if (inner.err !== undefined) throw inner.err;
        },
        timeoutMs,
      });
    });
    const { values } = world.sample("limit", () => limited.state.limit);
    await world.run(timeline.seconds * 1000);
    for (const calls of traffic) calls.stop();
    await world.run(timeoutMs);
    return {
      phase(name, from = 0, to) {
        const [start, end] = timeline.of(name);
        return sum(traffic, start + from, to === undefined ? end : start + to);
      },
      limits: values,
      servedPerSecond: Array.from({ length: timeline.seconds }, (_, s) => sum(traffic, s, s + 1).ok),
    };
  });
}

/** Phases one after the other. */
class Timeline {
  readonly seconds: number;
  readonly #phases: readonly Phase[];
  readonly #starts: readonly number[];

  constructor(phases: readonly Phase[]) {
    let at = 0;
    this.#starts = phases.map(({ seconds }) => (at += seconds) - seconds);
    this.#phases = phases;
    this.seconds = at;
  }

  at(ms: number): Phase {
    return this.#phases[this.#starts.findLastIndex((start) => start * 1000 <= ms)]!;
  }

  of(name: string): readonly [start: number, end: number] {
    const i = this.#phases.findIndex((phase) => phase.name === name);
    return [this.#starts[i]!, this.#starts[i]! + this.#phases[i]!.seconds];
  }
}

function sum(traffic: readonly Traffic[], from: number, to: number): Span {
  const spans: readonly Interval[] = traffic.map((calls) => calls.between(from * 1000, to * 1000));
  const total = (of: (span: Interval) => number): number => spans.reduce((all, span) => all + of(span), 0);
  return {
    seconds: to - from,
    began: total(({ began }) => began),
    ok: total(({ ok }) => ok),
    refused: total(({ failed }) => failed.unavailable ?? 0),
    latency: spans.map(({ latency }) => latency),
  };
}

function handler(process: Process, { cpu, wait }: Work, slow: () => number): Endpoint<object, object> {
  const { clock, random } = process;
  return async (ctx, request) => {
    if (cpu !== undefined) await process.compute(cpu.sample(random) * slow());
    if (wait !== undefined) {
      const ms = wait.sample(random) * slow();
      const leftMs = (ctx.deadline ?? Infinity) - clock.now();
      await new Promise<void>((resolve) => void clock.schedule(Math.min(ms, leftMs), resolve));
      if (ms > leftMs) throw new ServiceError("deadline_exceeded", "no answer in time");
    }
    return request;
  };
}

/** 0.95 of the last value every half second. */
function smoothedUse(process: Process): () => number {
  let use = 0;
  let workedMs = 0;
  const look = (): void => {
    const worked = process.cpu.workedMs;
    use = use * 0.95 + ((worked - workedMs) / (CPU_LOOK_MS * process.place.cores)) * 0.05;
    workedMs = worked;
    process.clock.schedule(CPU_LOOK_MS, look);
  };
  process.clock.schedule(CPU_LOOK_MS, look);
  return () => use;
}

/** What a call takes that need not wait for others: told from so many draws. */
export function unloaded(process: Pick<Process, "random">, { cpu, wait }: Work, timeoutMs: number): Histogram {
  const histogram = new Histogram();
  for (let i = 0; i < 20_000; i++) {
    const ms = (cpu?.sample(process.random) ?? 0) + (wait?.sample(process.random) ?? 0);
    if (ms <= timeoutMs) histogram.record(ms);
  }
  return histogram;
}
