import { type Context, contextKey, withTimeout, withValue } from "flotilla/context";
import type { Loop } from "./worker.ts";

const requestId = contextKey("request-id", -1);

/** What a call does with its context, a timeout and a value, under `caller`. The signal is read in its own variant only. */
export function makeContexts(caller: Context): Loop {
  return (iterations) => {
    let live = 0;
    for (let i = 0; i < iterations; i++) {
      const timed = withTimeout(caller, 1000);
      const ctx = withValue(timed, requestId, i);
      if (ctx.value(requestId) === i) live++;
      timed.cancel();
    }
    return live;
  };
}

/** The same, with the signal asked for. */
export function makeSignals(caller: Context): Loop {
  return (iterations) => {
    let live = 0;
    for (let i = 0; i < iterations; i++) {
      const timed = withTimeout(caller, 1000);
      const ctx = withValue(timed, requestId, i);
      if (!ctx.signal.aborted && ctx.value(requestId) === i) live++;
      timed.cancel();
    }
    return live;
  };
}
