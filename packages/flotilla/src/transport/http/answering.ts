import type { Context } from "../../context/context.ts";
import { WatchList } from "../../context/watch-list.ts";
import { observersOf } from "../../endpoint/observer.ts";
import type { Service } from "../../endpoint/service.ts";
import { Cors } from "./cors.ts";
import { Dispatcher } from "./dispatch.ts";
import type { Request, Response } from "./http-message.ts";
import type { HttpServerSettings } from "./options.ts";
import { Protocols } from "./protocols.ts";
import { Router } from "./router.ts";
import type { ServerState } from "./server-call.ts";

/** Answers requests, wherever they come from: by the first of the further protocols whose they are, else by Connect and REST. */
export class Answering {
  readonly state: ServerState;
  readonly protocols: Protocols;
  /** Answers one request. Never throws. */
  readonly serve: (req: Request, res: Response) => void;
  /** The same for those whose client waits to be told to send the body; undefined when that is left to Node. */
  readonly expecting: ((req: Request, res: Response) => void) | undefined;

  /**
   * @param root - parent of the contexts of all calls.
   * @throws TypeError when the services cannot be served together.
   */
  constructor(settings: HttpServerSettings, services: readonly Service[], root: Context) {
    this.state = {
      settings,
      root,
      observers: observersOf(services, root),
      inFlight: 0,
      young: new WatchList(root.clock),
      discouraging: false,
      cors: settings.cors === undefined ? undefined : new Cors(settings.cors, settings.protocols),
      onIdle: undefined,
    };
    const protocols = new Protocols(settings.protocols, services, this.state);
    const unserved = (req: Request, res: Response): boolean => protocols.unserved(req, res);
    const dispatcher = new Dispatcher(this.state, new Router(services), unserved);
    const own = (req: Request, res: Response): void => dispatcher.dispatch(req, res);
    this.protocols = protocols;
    this.serve = protocols.requests(own);
    this.expecting = protocols.expecting(own, (req) => dispatcher.serves(req));
  }

  /** Calls that have begun and not ended. */
  get inFlight(): number {
    return this.state.inFlight + this.protocols.inFlight;
  }
}
