import { background, contextKey, withCancel, withTimeout, withValue } from "flotilla/context";
import { serveLoop } from "../../lib/worker.ts";

const requestId = contextKey("request-id", -1);
const caller = withCancel(background());

serveLoop((iterations) => {
  let live = 0;
  for (let i = 0; i < iterations; i++) {
    const timed = withTimeout(caller, 1000);
    const ctx = withValue(timed, requestId, i);
    if (ctx.value(requestId) === i) live++;
    timed.cancel();
  }
  return live;
});
