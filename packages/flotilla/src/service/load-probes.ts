import type { Clock } from "../clock/clock.ts";
import type { Context } from "../context/context.ts";
import { background, withTimeout } from "../context/with.ts";
import type { LoadReport } from "../endpoint/load-report.ts";
import { ServiceError } from "../errors/service-error.ts";
import { Heard } from "./heard.ts";
import type { Peer } from "./peer.ts";

/** What an instance says of itself later than that is old. */
const TIMEOUT_MS = 1000;

/** Asks instances how busy they are; what they say goes where that of any answer goes. */
export class LoadProbes {
  /** So far. */
  sent = 0;
  readonly #background: Context;
  readonly #report: (peer: Peer, load: LoadReport, nowMs: number) => void;

  constructor(clock: Clock, report: (peer: Peer, load: LoadReport, nowMs: number) => void) {
    this.#background = background(clock);
    this.#report = report;
  }

  /** Whether the instance could be asked. */
  async ask(peer: Peer): Promise<boolean> {
    if (!peer.tellsLoad) return false;
    this.sent++;
    const ctx = withTimeout(this.#background, TIMEOUT_MS);
    try {
      const heard = new Heard(ctx);
      await peer.probe(heard.ctx);
      if (heard.load !== undefined) this.#report(peer, heard.load, ctx.clock.now());
    } catch (error) {
      if (ServiceError.from(error).code === "unimplemented") peer.tellsLoad = false;
    } finally {
      ctx.cancel();
    }
    return peer.tellsLoad;
  }
}
