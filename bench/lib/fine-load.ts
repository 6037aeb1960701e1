import { execFileSync } from "node:child_process";
import { connect, type Socket } from "node:net";
import type { Machine } from "./machine.ts";
import { sumAnswer, sumPath, sumRequest } from "./sum.ts";
import type { Load } from "./wrk.ts";

const CONNECTIONS = 64;
const DRAIN_TIMEOUT_MS = 5_000;
const ANSWER = JSON.stringify(sumAnswer);

/** Moves this process, which is the load generator here, to the load generator's cores. */
export function pinGenerator({ loadCpus }: Machine): void {
  if (loadCpus !== undefined) execFileSync("taskset", ["-cp", loadCpus, String(process.pid)], { stdio: "ignore" });
}

/**
 * A load that can be switched on and off within a millisecond, its connections staying open: with slices this short, whatever
 * else the machine does falls on every row alike. Each answer is checked. One call at a time on each connection.
 */
export class FineLoad {
  readonly #port: number;
  readonly #request: Buffer;
  #sockets: Socket[] = [];
  #on = false;
  #inFlight = 0;
  #answered = 0;
  #failure: string | undefined;
  #drained: (() => void) | undefined;

  constructor(port: number) {
    this.#port = port;
    const body = JSON.stringify(sumRequest);
    const head = `POST ${sumPath} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n`;
    this.#request = Buffer.from(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  async load(seconds: number): Promise<Load> {
    await this.#connect();
    this.#on = true;
    this.#answered = 0;
    const start = performance.now();
    for (const socket of this.#sockets) this.#ask(socket);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    this.#on = false;
    await this.#drain();
    const elapsed = (performance.now() - start) / 1000;
    if (this.#failure !== undefined) throw new Error(this.#failure);
    return { requests: this.#answered, perSecond: this.#answered / elapsed };
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Replaces what the server has closed for idleness since the last slice. */
  async #connect(): Promise<void> {
    this.#sockets = this.#sockets.filter((socket) => socket.readyState === "open");
    const missing = CONNECTIONS - this.#sockets.length;
    this.#sockets.push(...(await Promise.all(Array.from({ length: missing }, () => this.#open()))));
  }

  #open(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true }, () => resolve(socket));
      socket.setEncoding("latin1");
      // An answer may come in pieces: head and body apart.
      let text = "";
      socket.on("data", (piece: string) => {
        text += piece;
        if (!text.endsWith(ANSWER) && !text.endsWith(`${ANSWER}\r\n0\r\n\r\n`)) return;
        if (!text.startsWith("HTTP/1.1 200 ")) this.#fail(`answered ${text.slice(0, 200)}`);
        text = "";
        this.#answeredOn(socket);
      });
      socket.on("error", (error) => {
        reject(error);
        this.#fail(error.message);
      });
      socket.on("close", () => {
        if (this.#on) this.#fail(`the server closed a connection${text === "" ? "" : ` after ${text.slice(0, 200)}`}`);
      });
    });
  }

  #ask(socket: Socket): void {
    this.#inFlight++;
    socket.write(this.#request);
  }

  #answeredOn(socket: Socket): void {
    this.#answered++;
    this.#inFlight--;
    if (this.#on) this.#ask(socket);
    else if (this.#inFlight === 0) this.#drained?.();
  }

  #fail(why: string): void {
    this.#failure ??= why;
    this.#drained?.();
  }

  /** Waits for the answers under way, so that the next slice is another row's alone. */
  async #drain(): Promise<void> {
    if (this.#inFlight === 0 || this.#failure !== undefined) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#drained = resolve;
    const timer = setTimeout(
      () => reject(new Error(`${this.#inFlight} requests were never answered`)),
      DRAIN_TIMEOUT_MS,
    );
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#drained = undefined;
    }
  }
}
