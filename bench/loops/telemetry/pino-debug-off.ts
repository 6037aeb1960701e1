import { pino } from "pino";
import { serveLoop } from "../../lib/worker.ts";

const log = pino({ level: "info" }, pino.destination({ dest: "/dev/null", sync: false, minLength: 4096 }));

serveLoop((iterations) => {
  for (let i = 0; i < iterations; i++) log.debug("not written");
  return log;
});
