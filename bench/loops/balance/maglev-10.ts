import { maglev } from "flotilla/balance";
import { nextKey, picks } from "../../lib/picks.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(picks(maglev({ key: () => nextKey(), tableSize: 1_000_003 }), 10));
