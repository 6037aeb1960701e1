import { leastRequest, zoneAware } from "flotilla/balance";
import { picks } from "../../lib/picks.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(picks(zoneAware({ zone: "zone-0" }, leastRequest()), 10000));
