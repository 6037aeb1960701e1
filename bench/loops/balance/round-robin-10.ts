import { roundRobin } from "flotilla/balance";
import { picks } from "../../lib/picks.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(picks(roundRobin(), 10));
