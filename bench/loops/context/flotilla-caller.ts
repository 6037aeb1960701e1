import { background, withCancel } from "flotilla/context";
import { makeContexts } from "../../lib/call-contexts.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(makeContexts(withCancel(background())));
