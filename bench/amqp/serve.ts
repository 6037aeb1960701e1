import { serveLatency } from "../grpc/serve.ts";
import { serveCalls } from "../lib/worker.ts";

/** Serves what the third argument says: calls a second with 64 under way, or the 50th and 99th percentile of their times. */
export function serveKind(call: () => Promise<void>): void {
  const kind = process.argv[3];
  if (kind === "rate") serveCalls(call);
  else serveLatency(call, Number(kind));
}
