import type { Context } from "../context/context.ts";
import { LOAD_HEADER, type LoadReport, parseLoadReport } from "../endpoint/load-report.ts";
import { responseObserver, withResponseObserver } from "../metadata/call.ts";

/** Hears what the answer to a call says of how busy the instance is. */
export class Heard {
  /** For the call. */
  readonly ctx: Context;
  load: LoadReport | undefined;

  constructor(parent: Context) {
    const other = responseObserver(parent);
    this.ctx = withResponseObserver(parent, (headers, trailers) => {
      const header = headers.get(LOAD_HEADER);
      if (header !== undefined) this.load = parseLoadReport(header);
      other?.(headers, trailers);
    });
  }
}
