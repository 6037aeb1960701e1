import type { Child } from "../lib/child.ts";
import { pinGenerator } from "../lib/fine-load.ts";
import type { Machine } from "../lib/machine.ts";
import { Callers, type Outcome, PATIENCE_MS } from "../lib/open-loop.ts";
import type { Figures, Study } from "../lib/scenario.ts";
import { quantile } from "../lib/stats.ts";
import { Store } from "../lib/store.ts";
import { openServer } from "./http.ts";

/** So many times what the server can do is asked of it. */
const TIMES = 5;
/** Callers in the closed loop that finds out what it can do. */
const FEW = 8;

/** Row to the file of its server, whether its handler waits for a store, and whether nothing refuses. */
const servers: Readonly<Record<string, { file: string; waits: boolean; naive?: true }>> = {
  flotilla: { file: "overload-flotilla", waits: true },
  naive: { file: "overload-flotilla", waits: true, naive: true },
  "fastify-under-pressure": { file: "overload-fastify", waits: true },
  "flotilla-cpu": { file: "overload-flotilla", waits: false },
  "naive-cpu": { file: "overload-flotilla", waits: false, naive: true },
  "fastify-under-pressure-cpu": { file: "overload-fastify", waits: false },
};

export const overload: Study = {
  name: "overload",
  summary: `a server of one core is asked ${TIMES} times what it can do by callers that wait ${PATIENCE_MS} ms`,
  rows: {
    flotilla: "a handler that waits 5 ms for a store, then computes 4; what a host does by default",
    naive: "the same without what refuses",
    "fastify-under-pressure": "the same handler behind @fastify/under-pressure",
    "flotilla-cpu": "a handler that only computes, so that callers wait where no limit sees them: in the kernel",
    "naive-cpu": "the same without what refuses",
    "fastify-under-pressure-cpu": "the same handler behind @fastify/under-pressure",
  },
  async run(rows, quick, machine, progress) {
    pinGenerator(machine);
    const store = new Store();
    const storePort = await store.listen();
    try {
      const results: Record<string, Figures> = {};
      for (const row of rows) {
        const seconds = quick ? 3 : 10;
        results[row] = await measure(row, storePort, seconds, machine, (text) => progress(`${row}: ${text}`));
      }
      return results;
    } finally {
      store.close();
    }
  },
};

/** What a server without anything that refuses can do, calls a second, and what one costs, milliseconds of its processor. */
async function capacity(
  row: string,
  storePort: number,
  seconds: number,
  machine: Machine,
): Promise<{ perSecond: number; costMs: number; p99Ms: number }> {
  const { file, waits } = servers[row]!;
  const plain = file === "overload-flotilla" ? "naive" : "plain";
  const { child, origin } = await openServer(file, machine, [String(waits ? storePort : 0), plain]);
  const callers = new Callers(Number(new URL(origin).port));
  try {
    await callers.closed(FEW, 2);
    const before = await cpuOf(child);
    const { ok } = await callers.closed(FEW, seconds);
    const costMs = ((await cpuOf(child)) - before) / 1000 / ok;
    const perSecond = ok / seconds;
    const unloaded = await callers.open(0.3 * perSecond, seconds, 1);
    return { perSecond, costMs, p99Ms: quantile(unloaded.latencies, 0.99) };
  } finally {
    callers.close();
    await child.close();
  }
}

async function measure(
  row: string,
  storePort: number,
  seconds: number,
  machine: Machine,
  progress: (text: string) => void,
): Promise<Figures> {
  const { file, waits, naive } = servers[row]!;
  const peak = await capacity(row, storePort, seconds, machine);
  progress(`can do ${peak.perSecond.toFixed(0)} calls a second`);
  const args = [String(waits ? storePort : 0), ...(naive === true ? ["naive"] : [])];
  const { child, origin } = await openServer(file, machine, args);
  const callers = new Callers(Number(new URL(origin).port));
  const long = 2 * seconds;
  try {
    const before = await cpuOf(child);
    // Cold: the first call that it ever sees comes with all the others.
    const asked = await callers.open(TIMES * peak.perSecond, long, SETTLE_SECONDS);
    const usedMs = (((await cpuOf(child)) - before) / 1000) * (long / (long + SETTLE_SECONDS));
    progress(`asked ${(asked.asked / long).toFixed(0)} a second, served ${(asked.ok / long).toFixed(0)}`);
    const refusalMs = (usedMs - asked.ok * peak.costMs) / Math.max(1, asked.refused);
    const after = await callers.open(0.8 * peak.perSecond, seconds, 5);
    const p99Ms = quantile(asked.latencies, 0.99);
    return {
      "peak/s": peak.perSecond,
      "goodput/peak": asked.ok / long / peak.perSecond,
      "refused %": percent(asked.refused, asked),
      "in vain %": percent(asked.timedOut + asked.broken, asked),
      "p50 ms": quantile(asked.latencies, 0.5),
      "p99 ms": p99Ms,
      "p99/unloaded": p99Ms / peak.p99Ms,
      // Where next to nothing is refused it says nothing.
      "refusal/call %": asked.refused > asked.ok ? (refusalMs / peak.costMs) * 100 : Number.NaN,
      "0.8x after, ok %": percent(after.ok, after),
    };
  } finally {
    callers.close();
    await child.close();
  }
}

/** Not counted, at the begin of the overload. */
const SETTLE_SECONDS = 3;

const percent = (part: number, { asked }: Outcome): number => (part / asked) * 100;

async function cpuOf(child: Child): Promise<number> {
  return (await child.ask<{ cpuMicros: number }>({})).cpuMicros;
}
