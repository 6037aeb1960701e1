import { peakEwma } from "flotilla/balance";
import { picks } from "../../lib/picks.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(picks(peakEwma(), 10));
