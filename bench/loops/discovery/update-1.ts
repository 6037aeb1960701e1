import { updates } from "../../lib/fleet-client.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(await updates(1));
