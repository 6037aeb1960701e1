import { leastRequest } from "flotilla/balance";
import { picks } from "../../lib/picks.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(picks(leastRequest(), 10000));
