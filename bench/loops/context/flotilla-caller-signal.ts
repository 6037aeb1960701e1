import { background, withCancel } from "flotilla/context";
import { makeSignals } from "../../lib/call-contexts.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(makeSignals(withCancel(background())));
