import { connect, createServer, type Server, type Socket } from "node:net";

/** Stands between one end and the broker, so that the connection can be cut. */
export class Relay {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  /** Those of who connects here. */
  readonly #near = new Set<Socket>();
  #server: Server | undefined;
  #own = 0;

  private constructor(port: number) {
    this.#port = port;
  }

  /** @param port - the broker's. */
  static async open(port: number): Promise<Relay> {
    const relay = new Relay(port);
    await relay.start();
    return relay;
  }

  get address(): string {
    return `nats://127.0.0.1:${this.#own}`;
  }

  /** Takes connections, on the same port as before. */
  async start(): Promise<void> {
    const server = createServer((near) => this.join(near));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#own, "127.0.0.1", resolve));
    this.#own = (server.address() as { port: number }).port;
  }

  /** Connects one end with the broker. */
  join(near: Socket): void {
    const far = connect(this.#port, "127.0.0.1");
    this.#near.add(near);
    near.on("close", () => this.#near.delete(near));
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
  }

  /** Says something to all who are connected now, in the broker's place. */
  say(words: string): void {
    for (const socket of this.#near) socket.write(words);
  }

  /** Ends what is connected now. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Ends what is connected, and takes no more until it is started again. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    this.cut();
    await closed;
  }

  close(): Promise<void> {
    return this.stop();
  }
}
