// Asks a shared limiter at an even rate, whatever it answers, and prints what was admitted: `[[askedMs, answeredMs], ...]` on the
// wall clock, and how many decisions were made without Redis.
import { systemClock } from "flotilla/clock";
import { redisRateLimiter } from "../redis-rate-limiter.ts";

/** What the process is to do, its first argument as JSON. */
export interface Asking {
  readonly url: string;
  readonly limit: number;
  readonly burst: number;
  /** Requests a second. */
  readonly perSecond: number;
  readonly forMs: number;
  /** When to begin, on the wall clock, so that all processes do at the same time. */
  readonly atMs: number;
}

/** What it prints. */
export interface Asked {
  readonly admitted: readonly (readonly [askedMs: number, answeredMs: number])[];
  readonly asked: number;
  readonly withoutRedis: number;
}

const { url, limit, burst, perSecond, forMs, atMs } = JSON.parse(process.argv[2]!) as Asking;
const toEpochMs = systemClock.epoch() - systemClock.now();
const now = (): number => toEpochMs + systemClock.now();
const pause = (ms: number): Promise<void> => new Promise((resolve) => void systemClock.schedule(ms, resolve));

// A machine that is busy with eight processes must not make this a test of the fallback.
const limiter = redisRateLimiter({ url, limit, burst, timeoutMs: 2_000 });
while (limiter.state !== "connected") await pause(5);
await limiter.take("warm");
await pause(atMs - now());

const admitted: [number, number][] = [];
const pending: Promise<void>[] = [];
const ask = async (): Promise<void> => {
  const askedMs = now();
  const { allowed } = await limiter.take("shared");
  if (allowed) admitted.push([askedMs, now()]);
};
const start = now();
for (let elapsed = 0; elapsed < forMs; elapsed = now() - start) {
  while (pending.length < (elapsed * perSecond) / 1000) pending.push(ask());
  await pause(4);
}
await Promise.all(pending);
await limiter.close();
const result: Asked = { admitted, asked: pending.length, withoutRedis: limiter.withoutRedis };
process.stdout.write(JSON.stringify(result));
