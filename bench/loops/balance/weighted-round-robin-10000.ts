import { weightedRoundRobin } from "flotilla/balance";
import { picks } from "../../lib/picks.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(picks(weightedRoundRobin(), 10000));
