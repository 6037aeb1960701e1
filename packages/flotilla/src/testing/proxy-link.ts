import { Socket } from "node:net";
import type { Direction } from "./proxy-fault.ts";
import { type Acting, type LaneEnds, type LaneSettings, ProxyLane } from "./proxy-lane.ts";

/** One connection through the proxy: that of the client, that to the server, and a lane each way between them. */
export class ProxyLink {
  readonly lanes: Readonly<Record<Direction, ProxyLane>>;
  /** Resolves when both ends are closed. */
  readonly closed: Promise<unknown>;
  readonly #client: Socket;
  readonly #server: Socket;

  constructor(client: Socket, settings: LaneSettings) {
    // Each end learns of the end of the other by way of the lane between them, and not before.
    const server = new Socket({ allowHalfOpen: true }).setNoDelay(true);
    this.#client = client;
    this.#server = server;
    const toServer = new ProxyLane(this.#ends(client, server), settings);
    const toClient = new ProxyLane(this.#ends(server, client), settings);
    this.lanes = { toServer, toClient };
    this.closed = Promise.all([this.#carry(client, toServer, toClient), this.#carry(server, toClient, toServer)]);
  }

  /**
   * Goes on to where it leads, unless a fault has ended it already.
   *
   * @param onUnreachable - called when nobody can be reached there.
   */
  connect(to: { readonly host: string; readonly port: number }, onUnreachable: () => void): void {
    const server = this.#server;
    if (server.destroyed) return;
    server.once("error", onUnreachable);
    server.once("connect", () => server.off("error", onUnreachable));
    server.connect(to.port, to.host);
  }

  #ends(from: Socket, to: Socket): LaneEnds {
    return {
      pause: () => void from.pause(),
      resume: () => void from.resume(),
      write: (bytes) => to.write(bytes),
      end: () => void to.end(),
      break: () => reset(to),
      cut: (how) => this.#cut(how),
    };
  }

  /**
   * @param out - what comes from the socket goes here.
   * @param back - what goes to the socket comes from here.
   * @returns when it is closed.
   */
  #carry(socket: Socket, out: ProxyLane, back: ProxyLane): Promise<void> {
    socket.on("data", (bytes: Buffer) => out.receive(bytes));
    socket.on("end", () => out.receive("end"));
    socket.on("error", () => out.receive("break"));
    socket.on("drain", () => back.drained());
    return new Promise((resolve) => {
      socket.on("close", () => {
        back.stop();
        resolve();
      });
    });
  }

  add(acting: Acting): void {
    for (const direction of acting.fault.directions) this.lanes[direction].add(acting);
  }

  remove(acting: Acting): void {
    for (const direction of acting.fault.directions) this.lanes[direction].remove(acting);
  }

  #cut(how: "abort" | "reset"): void {
    for (const lane of Object.values(this.lanes)) lane.stop();
    for (const socket of [this.#client, this.#server]) {
      if (how === "reset") reset(socket);
      else socket.destroy();
    }
  }

  /** Ends it without regard to what is on its way. */
  close(): void {
    this.#cut("abort");
  }
}

function reset(socket: Socket): void {
  // What is not connected yet would be first, to be reset.
  if (socket.pending) socket.destroy();
  else if (!socket.destroyed) socket.resetAndDestroy();
}
