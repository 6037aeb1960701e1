import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { HttpListenerParts, HttpProtocol, MountedProtocol } from "../../endpoint/http-protocol.ts";
import type { Service } from "../../endpoint/service.ts";
import { GOING } from "./going.ts";
import type { Request, Response } from "./http-message.ts";
import { linger } from "./linger.ts";
import type { ServerState } from "./server-call.ts";
import type { Upgrades } from "./upgrades.ts";

type StreamListener = (
  this: Http2Server,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: string[],
) => void;

/** The further protocols of one listener. Without any, nothing is put in the way of requests. */
export class Protocols {
  readonly #mounted: readonly MountedProtocol[];

  constructor(protocols: readonly HttpProtocol[], services: readonly Service[], state: ServerState) {
    const parts: HttpListenerParts = {
      mark(headers, req) {
        state.cors?.mark(headers, req.headers.origin);
        if (state.discouraging && req.httpVersionMajor === 1) headers.push(...GOING);
      },
      linger: (req) => linger(req, state.root.clock),
    };
    this.#mounted = protocols.map((protocol) => protocol.mount(services, state.root, parts));
  }

  get inFlight(): number {
    let sum = 0;
    for (const { inFlight } of this.#mounted) sum += inFlight;
    return sum;
  }

  /** What serves a request: the first protocol whose it is, else `own`. */
  requests(own: (req: Request, res: Response) => void): (req: Request, res: Response) => void {
    const asked = this.#mounted.filter((protocol) => protocol.request !== undefined);
    if (asked.length === 0) return own;
    return (req, res) => {
      for (const protocol of asked) if (protocol.request!(req, res)) return;
      own(req, res);
    };
  }

  /**
   * As `requests`, for those whose client waits to be told to go on; undefined when that is left to Node.
   *
   * @param serves - whether the listener serves something of its own for a request.
   */
  expecting(
    own: (req: Request, res: Response) => void,
    serves: (req: Request) => boolean,
  ): ((req: Request, res: Response) => void) | undefined {
    const first = this.#mounted.filter(({ continues }) => continues === true);
    if (first.length === 0) return undefined;
    const others = this.requests(own);
    return (req, res) => {
      for (const protocol of first) if (protocol.request?.(req, res) === true) return;
      if (!serves(req)) for (const protocol of first) if (protocol.unserved?.(req, res) === true) return;
      res.writeContinue();
      others(req, res);
    };
  }

  /** Offers a request for which the listener serves nothing. @returns whether a protocol has it. */
  unserved(req: Request, res: Response): boolean {
    for (const protocol of this.#mounted) if (protocol.unserved?.(req, res) === true) return true;
    return false;
  }

  /** What takes connections over; undefined when nothing ever does. */
  upgrades(): Upgrades | undefined {
    const asked = this.#mounted.filter((protocol) => protocol.upgrades !== undefined);
    if (asked.length === 0) return undefined;
    return {
      wants: (req) => asked.some((protocol) => protocol.upgrades!(req)),
      take: (req, res, head) => asked.find((protocol) => protocol.upgrades!(req))!.upgrade!(req, res, head),
    };
  }

  /** Offers each stream to the protocols before `server` makes a request of it, as it does once it has a listener for requests. */
  streams(server: Http2Server): void {
    if (!this.#mounted.some((protocol) => protocol.stream !== undefined)) return;
    const asked = this.#mounted.filter((protocol) => protocol.stream !== undefined || protocol.owns !== undefined);
    const [makeRequest] = server.listeners("stream") as StreamListener[];
    server.removeAllListeners("stream");
    server.on("stream", (stream, headers, flags, rawHeaders) => {
      for (const protocol of asked) {
        if (protocol.stream?.(stream, headers, flags, rawHeaders) === true) return;
        if (protocol.owns?.(headers[":path"] ?? "") === true) break;
      }
      makeRequest!.call(server, stream, headers, flags, rawHeaders);
    });
  }

  discourage(): void {
    for (const protocol of this.#mounted) protocol.discourage?.();
  }

  async drain(): Promise<void> {
    await Promise.all(this.#mounted.map((protocol) => protocol.drain()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#mounted.map(async (protocol) => protocol.close?.()));
  }
}
