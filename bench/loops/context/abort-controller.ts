import { serveLoop } from "../../lib/worker.ts";

/** What a call does without contexts: its own timeout, merged with its caller's signal, and a bag of values. */
const caller = new AbortController();

serveLoop((iterations) => {
  let live = 0;
  for (let i = 0; i < iterations; i++) {
    const own = new AbortController();
    const timer = setTimeout(() => own.abort(), 1000);
    const signal = AbortSignal.any([caller.signal, own.signal]);
    const values = new Map([["request-id", i]]);
    if (!signal.aborted && values.get("request-id") === i) live++;
    clearTimeout(timer);
  }
  return live;
});
