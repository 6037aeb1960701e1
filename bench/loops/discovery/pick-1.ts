import { picks } from "../../lib/fleet-client.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(await picks(1));
