import type { Clock } from "../clock/clock.ts";
import { toConnectError } from "../codec/connect-error.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { ServiceError } from "../errors/service-error.ts";
import { copyRecord, type MetadataRecord, newRecord } from "../metadata/metadata.ts";
import type { InFlight, Listed } from "../wire/in-flight.ts";
import type { Wire } from "../wire/message.ts";
import { Pipe } from "../wire/pipe.ts";
import type { Accepted, Acceptor, Caller } from "../wire/served-call.ts";
import { Lane, type Network, type Place } from "./network.ts";

/** Bytes of headers and framing that go with a message. */
const OVERHEAD = 200;
/** Messages of a stream on their way at once, before the sender waits. */
const WINDOW = 16;

/** One end of a call: a process on a machine. */
export interface End {
  readonly place: Place;
  readonly alive: boolean;
  readonly clock: Clock;
  /** Runs something on the event loop of the process: when its turn comes, and never once it has died. */
  onLoop(costMs: number, run: () => void): void;
  /** What to tell when the process dies. */
  readonly calls: InFlight<Share>;
}

/** What a process has of a call. */
export interface Share extends Listed {
  /** The process has died; its machine is still there and says so. */
  died(): void;
}

/** Where a call goes. */
export interface Destination {
  readonly place: Place;
  /** The process that runs there now; undefined when the machine is up without one, `"gone"` when it does not even answer. */
  process(): End | "gone" | undefined;
  /** What takes calls in at the address; undefined when nothing listens. */
  acceptor(): Acceptor | undefined;
  /** Cost of taking in a request, milliseconds of a core. */
  readonly receiveMs: number;
}

/** What one call is made of. */
export interface CallParts {
  readonly method: MethodInfo;
  readonly headers: MetadataRecord;
  readonly request: Wire | Pipe<Wire>;
  readonly caller: Caller;
}

/** The server's share of a call. */
class ServerShare implements Share {
  older: Listed | undefined = undefined;
  newer: Listed | undefined = undefined;
  listed = false;
  readonly end: End;
  readonly #call: RemoteCall;

  constructor(end: End, call: RemoteCall) {
    this.end = end;
    this.#call = call;
    end.calls.add(this);
  }

  died(): void {
    this.#call.reset();
  }

  over(): void {
    this.end.calls.delete(this);
  }
}

/** What keeps the messages of a stream in order, and their number within bounds. */
class Stream {
  readonly forth = new Lane();
  readonly back = new Lane();
  readonly credit = new Credit();
}

/**
 * A call on the network: to the client it is the server, to the server it is the client, and what either says reaches the
 * other when the network has carried it. In the lists of calls it stands for the client's share.
 */
export class RemoteCall implements Accepted, Caller, Share {
  older: Listed | undefined = undefined;
  newer: Listed | undefined = undefined;
  listed = false;
  readonly #network: Network;
  readonly #client: End;
  readonly #to: Destination;
  readonly #parts: CallParts;
  readonly #single: boolean;
  readonly #stream: Stream | undefined;
  #serving: ServerShare | undefined;
  #server: Accepted | undefined;
  /** The client has gone or knows the end: nothing more is for it. */
  #over = false;
  #head: MetadataRecord | undefined;
  #response: Wire | undefined;

  constructor(network: Network, client: End, to: Destination, parts: CallParts) {
    this.#network = network;
    this.#client = client;
    this.#to = to;
    this.#parts = parts;
    const { kind } = parts.method;
    this.#single = kind === "unary" || kind === "client_stream";
    this.#stream = kind === "unary" ? undefined : new Stream();
    client.calls.add(this);
  }

  /** Sends the request on its way. */
  send(): void {
    const { request, headers } = this.#parts;
    this.#toServer(sizeOf(request), () => this.#arrive(headers, this));
    if (this.#network.begins() && !(request instanceof Pipe)) {
      const copy = copyRecord(headers);
      this.#toServer(sizeOf(request), () => this.#arrive(copy, nobody));
    }
  }

  /** @param caller - this, or nobody for a copy, of whose fate nobody hears. */
  #arrive(headers: MetadataRecord, caller: Caller): void {
    const process = this.#to.process();
    const first = caller === this;
    if (process === "gone" || (first && this.#over)) return;
    if (process === undefined) return first ? this.#refused("nothing runs there") : undefined;
    process.onLoop(this.#to.receiveMs, () => {
      if (first && this.#over) return;
      const acceptor = this.#to.acceptor();
      if (acceptor === undefined) return first ? this.#refused("nothing listens there") : undefined;
      const { method, request } = this.#parts;
      const received = request instanceof Pipe ? this.#receive(request) : request;
      try {
        const server = acceptor.accept(method, headers, received, caller);
        if (!first) return;
        this.#server = server;
        this.#serving = new ServerShare(process, this);
      } catch (error) {
        if (first) this.end(JSON.stringify(toConnectError(ServiceError.from(error))), newRecord());
      }
    });
  }

  #refused(why: string): void {
    const to = this.#to.place.name;
    this.#toClient(0, () =>
      this.#fail(
        new ServiceError("unavailable", `${to} refused the connection: ${why}`, { retry: { unprocessed: true } }),
      ),
    );
  }

  /** The client's process has died; see {@link Share}. */
  died(): void {
    this.abandoned();
  }

  /** The server's process has died. */
  reset(): void {
    this.#toClient(0, () =>
      this.#fail(new ServiceError("unavailable", `the connection to ${this.#to.place.name} was reset`)),
    );
  }

  #fail(error: ServiceError): void {
    if (this.#over) return;
    this.#close();
    this.#parts.caller.abandon(error);
  }

  #close(): void {
    this.#over = true;
    this.#client.calls.delete(this);
    this.#serving?.over();
  }

  // What the client says.

  abandoned(): void {
    if (this.#over) return;
    this.#close();
    this.#toServer(0, () => this.#serving?.end.onLoop(0, () => this.#server?.abandoned()));
  }

  /** The messages of the client, as they come in at the server. */
  #receive(sent: Pipe<Wire>): Pipe<Wire> {
    const received = new Pipe<Wire>(WINDOW, false);
    const credit = new Credit();
    const pump = async (): Promise<void> => {
      for await (const wire of sent) {
        await credit.take();
        this.#toServer(sizeOf(wire), () => {
          void Promise.resolve(received.write(wire)).then((more) => {
            if (!more) sent.leave();
            credit.give();
          });
        });
      }
      this.#toServer(0, () => received.end());
    };
    pump().catch((error: unknown) => this.#toServer(0, () => received.fail(error)));
    return received;
  }

  // What the server says.

  head(headers: MetadataRecord): void {
    this.#head = headers;
    if (!this.#single) this.#toClient(0, () => this.#over || this.#parts.caller.head(headers));
  }

  message(wire: Wire): boolean | Promise<boolean> {
    if (this.#over) return false;
    if (this.#single) {
      this.#response = wire;
      return true;
    }
    const { credit } = this.#stream!;
    this.#toClient(sizeOf(wire), () => {
      if (this.#over) return credit.give();
      void Promise.resolve(this.#parts.caller.message(wire)).then(() => credit.give());
    });
    return credit.take().then(() => !this.#over);
  }

  end(error: string | undefined, trailers: MetadataRecord): void {
    this.#serving?.over();
    const response = this.#response;
    this.#toClient(response === undefined ? 0 : sizeOf(response), () => {
      if (this.#over) return;
      this.#close();
      const { caller } = this.#parts;
      if (this.#single && this.#head !== undefined) caller.head(this.#head);
      if (response !== undefined) void caller.message(response);
      caller.end(error, trailers);
    });
  }

  abandon(error: ServiceError): void {
    this.#serving?.over();
    this.#toClient(0, () => this.#fail(error));
  }

  #toServer(bytes: number, arrive: () => void): void {
    const lane = this.#parts.request instanceof Pipe ? this.#stream!.forth : undefined;
    this.#network.send(this.#client.place, this.#to.place, bytes + OVERHEAD, arrive, lane);
  }

  #toClient(bytes: number, arrive: () => void): void {
    const lane = this.#single ? undefined : this.#stream!.back;
    const onArrival = (): void => this.#client.onLoop(0, arrive);
    this.#network.send(this.#to.place, this.#client.place, bytes + OVERHEAD, onArrival, lane);
  }
}

/** Whom a copy of a request is answered to. */
const nobody: Caller = {
  head() {},
  message: () => true,
  end() {},
  abandon() {},
};

/** So many messages may be under way; who sends more waits until one has been taken. */
class Credit {
  #left = WINDOW;
  readonly #waiting: (() => void)[] = [];

  async take(): Promise<void> {
    if (this.#left > 0) this.#left--;
    else await new Promise<void>((resolve) => void this.#waiting.push(resolve));
  }

  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#left++;
    else next();
  }
}

function sizeOf(wire: Wire | Pipe<Wire>): number {
  return wire instanceof Pipe ? 0 : wire.length;
}
