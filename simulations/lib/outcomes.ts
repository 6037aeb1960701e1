import { Histogram, type Traffic } from "flotilla/sim";

/** What became of the calls of several clients. */
export interface Outcomes {
  readonly calls: number;
  readonly failed: number;
  /** Of all calls, milliseconds; those that failed took as long as their callers wait. */
  readonly latency: Histogram;
}

/** Sums up what began in a span of time, milliseconds since the traffic began. All that is to end must have. */
export function outcomesOf(streams: readonly Traffic[], timeoutMs: number, fromMs = 0, toMs = Infinity): Outcomes {
  const latency = new Histogram();
  let calls = 0;
  let failed = 0;
  for (const stream of streams) {
    const { began, ok, latency: own } = stream.between(fromMs, toMs);
    calls += began;
    failed += began - ok;
    latency.add(own);
    for (let i = ok; i < began; i++) latency.record(timeoutMs);
  }
  return { calls, failed, latency };
}
