import type { Server } from "node:http";
import type { Http2Server } from "node:http2";
import type { Socket } from "node:net";

/** The first bytes of an HTTP/2 connection (RFC 9113, section 3.4); no HTTP/1.1 method begins with them. */
const PREFACE = Buffer.from("PRI");

/**
 * Lets one clear-text port speak HTTP/1.1 and HTTP/2: the first bytes of a connection decide which of the two servers gets it.
 *
 * @param unread - holds the sockets that have sent nothing yet; neither server knows them.
 * @param timeoutMs - how long such a socket may stay silent.
 */
export function sniff(server: Server, http2: Http2Server, unread: Set<Socket>, timeoutMs: number): void {
  const [serveHttp1] = server.listeners("connection") as ((this: Server, socket: Socket) => void)[];
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    unread.add(socket);
    let seen: Buffer | undefined;
    const forget = (): void => {
      unread.delete(socket);
      socket.off("readable", look);
      socket.off("end", cut);
      socket.off("close", forget);
      socket.off("timeout", cut);
      socket.setTimeout(0);
    };
    const cut = (): void => {
      socket.destroy();
    };
    const look = (): void => {
      const bytes = socket.read() as Buffer | null;
      if (bytes === null) return;
      // Put back only at the end: the socket tells at once of what was put back, so that nothing else would get a turn
      // until more comes.
      seen = seen === undefined ? bytes : Buffer.concat([seen, bytes]);
      const known = Math.min(seen.byteLength, PREFACE.byteLength);
      const isPreface = seen.subarray(0, known).equals(PREFACE.subarray(0, known));
      if (isPreface && known < PREFACE.byteLength) return;
      forget();
      socket.off("error", ignore);
      socket.unshift(seen);
      if (!isPreface) return serveHttp1!.call(server, socket);
      // As node:http2 has it: with a half-open socket it never hears that its client has gone.
      socket.allowHalfOpen = false;
      http2.emit("connection", socket);
    };
    socket.on("readable", look);
    socket.on("end", cut);
    socket.on("close", forget);
    socket.on("error", ignore);
    socket.setTimeout(timeoutMs, cut);
  });
}

/** A connection that breaks before its first request concerns nobody. */
function ignore(): void {}
