import type { Socket } from "node:net";
import type { ChannelModel } from "amqplib";

/**
 * Has what is sent in one turn of the event loop leave in one piece: an answer with its acknowledgement, many publications. The client library writes each
 * by itself, which costs both ends and the broker a system call and mostly a packet each.
 */
export class Batch {
  readonly #socket: Pick<Socket, "cork" | "uncork"> | undefined;
  #held = false;
  readonly #release = (): void => {
    this.#held = false;
    this.#socket!.uncork();
  };
  /** The client library writes in the phase after the next tick: this must come behind it. */
  readonly #afterWriting = (): void => void setImmediate(this.#release);

  constructor(connection: ChannelModel) {
    this.#socket = (connection.connection as unknown as { stream?: Socket }).stream;
  }

  /** Something was sent just now. */
  sent(): void {
    if (this.#held || this.#socket === undefined) return;
    this.#held = true;
    this.#socket.cork();
    process.nextTick(this.#afterWriting);
  }
}
