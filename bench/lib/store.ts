import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** How long the store takes to answer, milliseconds. */
const ANSWER_MS = 5;

/** A store for handlers to wait for: it answers each byte with one, some time later. */
export class Store {
  readonly #server = createServer({ noDelay: true }, (socket) => {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (asked: Buffer) => setTimeout(() => socket.writable && socket.write(asked), ANSWER_MS));
  });
  readonly #sockets = new Set<Socket>();

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, "127.0.0.1", () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** A client of the store, with one connection for all. */
export class StoreClient {
  readonly #socket: Socket;
  readonly #waiting: (() => void)[] = [];

  constructor(port: number) {
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (answers: Buffer) => {
      for (const resolve of this.#waiting.splice(0, answers.byteLength)) resolve();
    });
  }

  ask(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#socket.write("?");
    });
  }
}
