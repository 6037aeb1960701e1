import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** One HTTP/1.1 answer as it stood on the wire. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** A bare TCP connection for what no HTTP client would send. */
export class RawConnection {
  readonly socket: Socket;
  /** Set once the other side has closed, or reset, the connection. */
  closed = false;
  /** Resolves when the connection is gone. */
  readonly gone: Promise<void>;
  #received = Buffer.alloc(0);
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
    // A reset is one of the ends that are waited for.
    socket.on("error", () => {});
    this.gone = new Promise((resolve) => {
      const end = (): void => {
        this.closed = true;
        this.#wake?.();
        resolve();
      };
      socket.on("end", () => {
        end();
        socket.end();
      });
      socket.on("close", end);
    });
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new RawConnection(socket);
  }

  /** Writes; false once the peer reads no more for now. */
  send(data: string | Uint8Array): boolean {
    return this.socket.writable && this.socket.write(data);
  }

  /** Everything received and not taken yet. */
  get pending(): string {
    return this.#received.toString("latin1");
  }

  /** The next answer; undefined when the connection closed instead. A head answer has no body whatever its headers say. */
  async answer(head = false): Promise<RawAnswer | undefined> {
    for (;;) {
      const answer = this.#take(head);
      if (answer !== undefined || this.closed) return answer;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #take(head: boolean): RawAnswer | undefined {
    const all = this.pending;
    const end = all.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const [line, ...rest] = all.slice(0, end).split("\r\n");
    const headers = new Map<string, string>();
    for (const field of rest) {
      const at = field.indexOf(":");
      const name = field.slice(0, at).toLowerCase();
      const value = field.slice(at + 1).trim();
      headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value);
    }
    const status = Number(line!.split(" ")[1]);
    const start = end + 4;
    const bodyless = head || status === 204 || status === 304 || status < 200;
    let stop = bodyless ? start : start + Number(headers.get("content-length") ?? 0);
    let body = all.slice(start, stop);
    if (!bodyless && headers.get("transfer-encoding") === "chunked") {
      const last = all.indexOf("0\r\n\r\n", start);
      if (last < 0) return undefined;
      stop = last + 5;
      body = unchunk(all.slice(start, last));
    } else if (all.length < stop) return undefined;
    this.#received = this.#received.subarray(stop);
    return { status, headers, body: Buffer.from(body, "latin1").toString("utf8") };
  }

  destroy(): void {
    this.socket.destroy();
  }
}

function unchunk(text: string): string {
  let body = "";
  for (let at = 0; at < text.length; ) {
    const eol = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, eol), 16);
    body += text.slice(eol + 2, eol + 2 + size);
    at = eol + 2 + size + 2;
  }
  return body;
}

/** A POST of the Connect protocol with JSON, as text. */
export function post(method: string, message: unknown, headers: Readonly<Record<string, string>> = {}): string {
  const body = typeof message === "string" ? message : JSON.stringify(message);
  const all = {
    host: "test",
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST /test.v1.Freight/${method} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}
