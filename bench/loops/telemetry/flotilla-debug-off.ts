import { loggingOnly } from "../../lib/bench-log.ts";
import { serveLoop } from "../../lib/worker.ts";

const { logger } = loggingOnly();
if (logger === undefined) throw new Error("logging is on");

serveLoop((iterations) => {
  for (let i = 0; i < iterations; i++) logger.debug("not written");
  return logger;
});
