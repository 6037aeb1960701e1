import { type AddressInfo, createServer, connect as dial, type Socket } from "node:net";
import type { Context } from "flotilla/context";
import type { Connection, Connector, Endpoint, Listener, Listening, MethodInfo, Service } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import {
  type Accepted,
  type Acceptor,
  type Caller,
  Calling,
  fromConnectError,
  Serving,
  settleWire,
  toConnectError,
  type Way,
} from "flotilla/wire";

// Calls as lines of JSON over TCP: a line a request, a line an answer, each with the number of its call. Unary methods only.

interface Request {
  readonly id: number;
  /** Undefined: the caller has given up. */
  readonly method?: string;
  readonly headers?: MetadataRecord;
  readonly message?: string;
}

interface Answer {
  readonly id: number;
  readonly headers: MetadataRecord;
  readonly message?: string;
  /** As the Connect protocol writes it. */
  readonly error?: string;
  readonly trailers: MetadataRecord;
  /** No handler was called: the call may be made again, elsewhere. */
  readonly refused?: boolean;
}

/** The number of what the server says when it goes away: further calls go over another connection, if there is one. */
const BYE = 0;

const wire = settleWire("lines", { format: "json" });
/** A message as a string within a line takes twice its size at most, and its headers some more. */
const MAX_LINE = 2 * wire.maxMessageBytes + 65_536;

/** Hands on each line; what is none, or too long, ends the connection. */
function readLines<Line>(socket: Socket, take: (line: Line) => void): void {
  let parts: string[] = [];
  let length = 0;
  socket.setEncoding("utf8");
  socket.on("data", (text: string) => {
    const lines = text.split("\n");
    for (const [i, line] of lines.entries()) {
      parts.push(line);
      length += line.length;
      if (length > MAX_LINE) return void socket.destroy();
      if (i === lines.length - 1) return;
      try {
        take(JSON.parse(parts.join("")) as Line);
      } catch {
        return void socket.destroy();
      }
      parts = [];
      length = 0;
    }
  });
}

/** The message, unless it is larger than the other end takes. @throws ServiceError `resource_exhausted` when it is. */
function sendable(message: string): string {
  if (Buffer.byteLength(message) <= wire.maxMessageBytes) return message;
  throw new ServiceError("resource_exhausted", `a message is over the limit of ${wire.maxMessageBytes} bytes`);
}

function writeLine(socket: Socket, line: Request | Answer): void {
  if (socket.writable) socket.write(`${JSON.stringify(line)}\n`);
}

/** Serves over lines. */
export function lines({ port = 0 } = {}): Listener {
  return {
    protocol: "lines",
    async listen(services, root) {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, "127.0.0.1", resolve);
      });
      return new LineServer(server, services, root);
    },
  };
}

class LineServer implements Listening {
  readonly protocol = "lines";
  readonly address: string;
  readonly #serving: Serving;
  readonly #sockets = new Set<Socket>();
  #draining = false;

  constructor(server: ReturnType<typeof createServer>, services: readonly Service[], root: Context) {
    this.address = `lines://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#serving = new Serving(this.address, wire, services, root, () => {
      this.#draining = true;
      server.close();
      for (const socket of this.#sockets) writeLine(socket, { id: BYE, headers: {}, trailers: {} });
    });
    server.on("connection", (socket: Socket) => this.#connected(socket));
  }

  #connected(socket: Socket): void {
    const calls = new Map<number, Accepted>();
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#sockets.delete(socket);
      for (const call of calls.values()) call.abandoned();
    });
    readLines<Request>(socket, (request) => this.#accept(socket, calls, request));
  }

  #accept(socket: Socket, calls: Map<number, Accepted>, { id, method, headers = {}, message = "" }: Request): void {
    if (method === undefined) return calls.get(id)?.abandoned();
    const answer = { id, headers: {} as MetadataRecord, message: undefined as string | undefined };
    const end = (error: string | undefined, trailers: MetadataRecord, refused = false): void => {
      calls.delete(id);
      const told = error === undefined ? {} : { error };
      writeLine(socket, { ...answer, ...told, trailers, ...(refused && { refused }) } as Answer);
    };
    const caller: Caller = {
      head: (sent) => void (answer.headers = sent),
      message: (sent) => Boolean((answer.message = sendable(sent as string))),
      end,
      abandon: (error) => end(JSON.stringify(toConnectError(error)), {}),
    };
    try {
      if (this.#draining) throw new ServiceError("unavailable", "the server is going away");
      const info = this.#serving.find(method);
      if (info?.kind !== "unary") throw new ServiceError("unimplemented", `${method} is not served as unary`);
      calls.set(
        id,
        this.#serving.accept(info, headers, message, caller, `${socket.remoteAddress}:${socket.remotePort}`),
      );
    } catch (error) {
      end(JSON.stringify(toConnectError(ServiceError.from(error))), {}, true);
    }
  }

  get inFlight(): number {
    return this.#serving.inFlight;
  }

  discourage(): void {}

  async drain(): Promise<void> {
    await this.#serving.drain();
    for (const socket of this.#sockets) socket.end();
  }

  async close(cause?: unknown): Promise<void> {
    await this.#serving.close(cause);
    for (const socket of this.#sockets) socket.destroySoon();
  }
}

/** Calls over lines. */
export function linesClient(): Connector {
  return { protocol: "lines", connect: (address) => new LineConnection(address) };
}

/** A socket, and the calls that are on it. */
interface Line {
  readonly socket: Socket;
  readonly calls: Map<number, Caller>;
}

/** One socket, opened with the first call, and again when it was lost or the server goes away. */
class LineConnection implements Connection, Way, Acceptor {
  readonly #address: string;
  readonly #calling: Calling;
  #line: Line | undefined;
  #ids = 0;

  constructor(address: string) {
    this.#address = address;
    this.#calling = new Calling(address, wire, this);
  }

  endpoint(method: MethodInfo): Endpoint {
    return this.#calling.endpoint(method);
  }

  acceptor(): this {
    return this;
  }

  accept({ procedure, kind }: MethodInfo, headers: MetadataRecord, request: unknown, caller: Caller): Accepted {
    if (kind !== "unary") throw new ServiceError("unimplemented", `${procedure} streams, which lines cannot carry`);
    const message = sendable(request as string);
    const { socket, calls } = (this.#line ??= this.#open());
    const id = ++this.#ids;
    calls.set(id, caller);
    writeLine(socket, { id, method: procedure, headers, message });
    return {
      abandoned() {
        if (calls.delete(id)) writeLine(socket, { id });
      },
    };
  }

  #open(): Line {
    const { hostname, port } = new URL(this.#address.replace("lines:", "http:"));
    const line: Line = { socket: dial(Number(port), hostname), calls: new Map() };
    const { socket, calls } = line;
    let connected = false;
    let failure: Error | undefined;
    const retire = (): void => {
      if (this.#line === line) this.#line = undefined;
    };
    socket.on("connect", () => (connected = true));
    socket.on("error", (error) => (failure = error));
    socket.on("close", () => {
      retire();
      const what = connected ? "lost the connection to" : "cannot connect to";
      const retry = connected ? {} : { retry: { unprocessed: true } };
      for (const [id, caller] of calls) {
        calls.delete(id);
        caller.abandon(new ServiceError("unavailable", `${what} ${this.#address}`, { cause: failure, ...retry }));
      }
    });
    readLines<Answer>(socket, (answer) => (answer.id === BYE ? retire() : answered(calls, answer)));
    return line;
  }

  async drain(): Promise<void> {
    await this.#calling.drain();
    this.#line?.socket.end();
  }

  async close(): Promise<void> {
    await this.#calling.close();
    this.#line?.socket.destroySoon();
  }
}

function answered(calls: Map<number, Caller>, { id, headers, message, error, trailers, refused }: Answer): void {
  const caller = calls.get(id);
  if (caller === undefined) return;
  calls.delete(id);
  if (refused === true) {
    const { code, message: why, details } = fromConnectError(JSON.parse(error!), undefined);
    return caller.abandon(new ServiceError(code, why, { details, retry: { unprocessed: true } }));
  }
  caller.head(headers);
  if (message !== undefined) void caller.message(message);
  caller.end(error, trailers);
}
