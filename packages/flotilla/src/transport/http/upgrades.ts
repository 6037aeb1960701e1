import { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../../clock/clock.ts";
import type { Request, Response } from "./http-message.ts";
import { cutWhenParted } from "./parting.ts";

/** What takes connections over for another protocol. */
export interface Upgrades {
  /** Whether it takes one over for this request. */
  readonly wants: (req: Request) => boolean;
  /** @param head - what came of the other protocol already. */
  readonly take: (req: Request, res: Response, head: Buffer) => void;
}

/**
 * The answer to a request that came with an offer to change the protocol, which Node has made no response for. Unless the protocol does change,
 * the connection ends with it.
 */
function responseFor(req: Request, socket: Socket, clock: Clock): Response {
  const res = new ServerResponse(req);
  res.shouldKeepAlive = false;
  res.assignSocket(socket);
  res.on("finish", () => {
    res.detachSocket(socket);
    cutWhenParted(socket, clock);
    socket.end();
  });
  return res;
}

/** What handles `upgrade` of a server. */
export function onUpgrade(
  { wants, take }: Upgrades,
  serve: (req: Request, res: Response) => void,
  clock: Clock,
): (req: Request, socket: Duplex, head: Buffer) => void {
  return (req, socket, head) => {
    socket.on("error", () => {});
    const res = responseFor(req, socket as Socket, clock);
    if (wants(req)) return take(req, res, head);
    // Where node knows no `shouldUpgradeCallback` (before 24.9) all offers come here, and the bodies of requests are lost by then.
    const { headers } = req;
    if (headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0)
      return serve(req, res);
    res.writeHead(501, { "content-length": "0" }).end();
  };
}
