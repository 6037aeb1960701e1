import { cpuMicros } from "./ready.ts";
import type { Measurement } from "./scenario.ts";

/**
 * A process that measures when it is told to. The entry file of a row calls this or one of the two below; the bench then sends
 * `{ seconds }` and is answered a Measurement or `{ failure }`.
 */
export function answerMeasurements(measure: (seconds: number) => Promise<Measurement>): void {
  process.on("disconnect", () => process.exit(0));
  process.on("message", ({ seconds }: { seconds: number }) => {
    measure(seconds).then(
      (measurement) => process.send?.(measurement),
      (error: unknown) => process.send?.({ failure: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.send?.({ ready: true });
}

/** Calls a row made `iterations` times over and returns something every one of them had a part in. */
export type Loop = (iterations: number) => unknown;

/** Where results end, so that no compiler can prove a call useless. */
const sink = { last: undefined as unknown };
const BATCH_SECONDS = 0.02;

/**
 * Serves microseconds a call of `loop`, called in batches long enough that reading the time costs nothing.
 *
 * @param least - calls that a batch has at least, and a multiple of.
 */
export function serveLoop(loop: Loop, least = 1): void {
  let batch = least;
  answerMeasurements(async (seconds) => {
    const cpu = cpuMicros();
    const start = performance.now();
    const end = start + seconds * 1000;
    let calls = 0;
    let now = start;
    while (now < end) {
      const before = now;
      sink.last = await loop(batch);
      calls += batch;
      now = performance.now();
      if (now - before < BATCH_SECONDS * 1000) batch *= 2;
    }
    return { value: ((now - start) * 1000) / calls, cpu: (cpuMicros() - cpu) / calls };
  });
}

/** Calls under way at any time: as many as the http scenario has connections. */
export const inFlight = 64;

/** Serves calls a second of `call`; the first failure fails the measurement. */
export function serveCalls(call: () => Promise<void>): void {
  answerMeasurements(async (seconds) => {
    await call();
    const cpu = cpuMicros();
    const start = performance.now();
    const end = start + seconds * 1000;
    let calls = 0;
    const lane = async (): Promise<void> => {
      while (performance.now() < end) {
        await call();
        calls++;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
    return { value: calls / ((performance.now() - start) / 1000), cpu: (cpuMicros() - cpu) / calls };
  });
}

/** µs from a call's start to its answer, 64 under way. */
export function serveLatency(call: () => Promise<void>, percentile: number): void {
  answerMeasurements(async (seconds) => {
    const cpu = cpuMicros();
    const end = performance.now() + seconds * 1000;
    const took: number[] = [];
    const lane = async (): Promise<void> => {
      for (let start = performance.now(); start < end; start = performance.now()) {
        await call();
        took.push(performance.now() - start);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
    took.sort((a, b) => a - b);
    const value = took[Math.min(took.length - 1, Math.floor((took.length * percentile) / 100))] ?? Number.NaN;
    return { value: value * 1000, cpu: (cpuMicros() - cpu) / took.length };
  });
}

/** Serves what the third argument says: calls a second (`rate`), or a percentile of the time of a call. */
export function serveRateOrLatency(call: () => Promise<void>): void {
  const kind = process.argv[3];
  if (kind === "rate") serveCalls(call);
  else serveLatency(call, Number(kind));
}
