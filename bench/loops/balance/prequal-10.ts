import { prequal } from "flotilla/balance";
import { picks } from "../../lib/picks.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(picks(prequal(), 10));
