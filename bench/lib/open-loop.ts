import { connect, type Socket } from "node:net";
import { sumPath, sumRequest } from "./sum.ts";

/** Callers give up after so long, milliseconds. */
export const PATIENCE_MS = 1000;
/** Connections at most: callers beyond these reach nobody. */
const MAX_CONNECTIONS = 4000;

type Fate = "ok" | "refused" | "timedOut" | "broken";

/** What became of calls. */
export interface Outcome {
  readonly asked: number;
  /** Answered in time with status 200. */
  readonly ok: number;
  /** Answered with another status. */
  readonly refused: number;
  readonly timedOut: number;
  /** Connections that broke or could not be had. */
  readonly broken: number;
  /** Of the calls answered with 200: milliseconds from when each was due. */
  readonly latencies: readonly number[];
}

/** Callers of one server, each on a connection of its own that is kept for the next caller when its answer came in time. */
export class Callers {
  readonly #port: number;
  readonly #request: Buffer;
  readonly #idle: Socket[] = [];
  #open = 0;
  #pending = 0;
  #asked = 0;
  #fates: Record<Fate, number> = { ok: 0, refused: 0, timedOut: 0, broken: 0 };
  #latencies: number[] = [];

  constructor(port: number) {
    this.#port = port;
    const body = JSON.stringify(sumRequest);
    const head = `POST ${sumPath} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n`;
    this.#request = Buffer.from(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  /**
   * An open loop: calls at random times, so many a second on average, whatever becomes of those before, as many independent
   * callers make them; what they wait for a slow server is not left out (coordinated omission).
   *
   * @param settleSeconds - so long calls are made without being counted, first.
   */
  async open(perSecond: number, seconds: number, settleSeconds: number): Promise<Outcome> {
    const startMs = performance.now();
    const countFromMs = startMs + settleSeconds * 1000;
    const endMs = countFromMs + seconds * 1000;
    this.#reset();
    for (let dueMs = startMs; dueMs < endMs; ) {
      for (const now = performance.now(); dueMs <= now && dueMs < endMs; ) {
        this.#call(dueMs, dueMs >= countFromMs);
        dueMs += (-Math.log(1 - Math.random()) * 1000) / perSecond;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return this.#outcome();
  }

  /** A closed loop: so many callers, each calling again when it was answered. */
  async closed(callers: number, seconds: number): Promise<Outcome> {
    const endMs = performance.now() + seconds * 1000;
    this.#reset();
    const again = (): void => {
      if (performance.now() < endMs) this.#call(performance.now(), true, again);
    };
    for (let i = 0; i < callers; i++) again();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return this.#outcome();
  }

  close(): void {
    for (const socket of this.#idle) socket.destroy();
  }

  #reset(): void {
    this.#asked = 0;
    this.#fates = { ok: 0, refused: 0, timedOut: 0, broken: 0 };
    this.#latencies = [];
  }

  async #outcome(): Promise<Outcome> {
    while (this.#pending > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    return { asked: this.#asked, ...this.#fates, latencies: this.#latencies };
  }

  /** @param dueMs - when it should have begun: that the generator is late is no excuse for the server. */
  #call(dueMs: number, counts: boolean, then?: () => void): void {
    const fates = this.#fates;
    if (counts) this.#asked++;
    const socket = this.#idle.pop() ?? this.#connect();
    if (socket === undefined) return void (counts && fates.broken++);
    this.#pending++;
    let text = "";
    const over = (fate: Fate): void => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on("error", () => {});
      this.#pending--;
      if (counts) {
        fates[fate]++;
        if (fate === "ok") this.#latencies.push(performance.now() - dueMs);
      }
      if ((fate === "ok" || fate === "refused") && !/connection: close/i.test(text)) this.#keep(socket);
      else {
        this.#open--;
        socket.destroy();
      }
      then?.();
    };
    const timer = setTimeout(() => over("timedOut"), PATIENCE_MS - (performance.now() - dueMs));
    socket.on("data", (piece: string) => {
      text += piece;
      if (isWhole(text)) over(text.startsWith("HTTP/1.1 200 ") ? "ok" : "refused");
    });
    socket.on("error", () => over("broken"));
    socket.on("close", () => over("broken"));
    socket.write(this.#request);
  }

  #connect(): Socket | undefined {
    if (this.#open >= MAX_CONNECTIONS) return undefined;
    this.#open++;
    return connect({ port: this.#port, host: "127.0.0.1", noDelay: true }).setEncoding("latin1");
  }

  #keep(socket: Socket): void {
    this.#idle.push(socket);
    socket.on("close", () => {
      const at = this.#idle.indexOf(socket);
      if (at >= 0) this.#idle.splice(at, 1);
      this.#open--;
    });
  }
}

/** All servers here say how long their answers are. */
function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = /content-length: (\d+)/i.exec(text.slice(0, end))?.[1];
  return length !== undefined && text.length >= end + 4 + Number(length);
}
