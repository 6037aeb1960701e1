import { ringHash } from "flotilla/balance";
import { nextKey, picks } from "../../lib/picks.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(picks(ringHash({ key: () => nextKey() }), 10));
