import type { Http2Session } from "node:http2";
import type { Clock } from "../../clock/clock.ts";
import type { KeepaliveOptions } from "./options.ts";

/**
 * Asks for a sign of life now and then: a peer that is gone without a word (a machine that lost its power, a broken route) would hold a
 * connection, and its calls, for ever. Ends with the session, and keeps no process alive.
 *
 * @param wanted - whether the connection is worth asking for at the moment.
 */
export function keepalive(
  session: Http2Session,
  { everyMs, timeoutMs }: Required<KeepaliveOptions>,
  clock: Clock,
  wanted: () => boolean = always,
): void {
  if (everyMs === false) return;
  let late: { cancel(): void } | undefined;
  const pong = (): void => {
    late?.cancel();
    late = undefined;
  };
  const wait = (): { cancel(): void } => {
    const timer = clock.schedule(everyMs, () => {
      next = wait();
      if (session.destroyed || late !== undefined || !wanted()) return;
      const timeout = clock.schedule(timeoutMs, () => {
        const error = Object.assign(new Error(`no answer to a ping within ${timeoutMs} ms`), { code: "ETIMEDOUT" });
        session.destroy(error);
      });
      timeout.unref();
      late = timeout;
      session.ping(pong);
    });
    timer.unref();
    return timer;
  };
  let next = wait();
  session.once("close", () => {
    next.cancel();
    late?.cancel();
  });
}

function always(): boolean {
  return true;
}
