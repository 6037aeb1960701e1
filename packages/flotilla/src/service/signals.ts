import type { Clock } from "../clock/clock.ts";
import { systemClock } from "../clock/system-clock.ts";

/** A Ctrl-C reaches a process from the terminal and again from whoever started it: one signal, told twice. Milliseconds. */
const SAME_SIGNAL_MS = 300;

const SIGNALS = { SIGTERM: 15, SIGINT: 2 } as const;

/**
 * Calls `onFirst` for the first SIGTERM or SIGINT; a second one, 300 ms later or more, exits at once with
 * the status a shell gives to that signal.
 *
 * @returns a function that stops listening.
 */
export function onSignals(onFirst: (signal: string) => void, clock: Clock = systemClock): () => void {
  let firstMs: number | undefined;
  const handler = (signal: NodeJS.Signals): void => {
    const nowMs = clock.now();
    if (firstMs === undefined) {
      firstMs = nowMs;
      onFirst(signal);
    } else if (nowMs - firstMs >= SAME_SIGNAL_MS) process.exit(128 + SIGNALS[signal as keyof typeof SIGNALS]);
  };
  for (const signal of Object.keys(SIGNALS)) process.on(signal, handler);
  return () => {
    for (const signal of Object.keys(SIGNALS)) process.off(signal, handler);
  };
}
