import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import type { Accepted, Caller, Wire } from "flotilla/wire";
import { EncodedHeaders, headerLines, trailerLines } from "./headers.ts";
import { bytesOf } from "./incoming.ts";
import type { MethodCount } from "./method-count.ts";
import { errorText, type ServerSide, sendError } from "./server-side.ts";
import { tooLarge } from "./too-large.ts";

/** What hears of one request how it ended. */
export class ServedUnary implements Caller, Accepted {
  readonly #calls: ServerSide;
  readonly #count: MethodCount;
  /** Empty: nobody wants an answer. */
  readonly #reply: string;
  readonly #startedMs: number;
  #call: Accepted | undefined;
  #headers: MetadataRecord | undefined;
  #wire: Wire | undefined;
  #over = false;

  constructor(calls: ServerSide, count: MethodCount, reply: string) {
    this.#calls = calls;
    this.#count = count;
    this.#reply = reply;
    this.#startedMs = calls.clock.now();
  }

  /** Begins the call. @throws ServiceError when it is refused. */
  begin(headers: MetadataRecord, request: Wire): void {
    this.#call = this.#calls.serving.accept(this.#count.info, headers, request, this);
  }

  head(headers: MetadataRecord): void {
    this.#headers = headers;
  }

  message(wire: Wire): boolean {
    this.#wire = wire;
    return true;
  }

  end(error: string | undefined, trailers: MetadataRecord): void {
    if (this.#over) return;
    this.#close(error);
    const lines = headerLines(this.#headers ?? {}) + trailerLines(trailers);
    if (error !== undefined) return sendError(this.#calls, this.#reply, error, lines);
    const payload = bytesOf(this.#wire!);
    if (this.#reply === "") return;
    const head = lines === "" ? undefined : new EncodedHeaders(lines);
    const { link } = this.#calls;
    const size = payload.length + (head?.size ?? 0);
    if (size <= link.maxPayload) link.answer(this.#reply, payload, head);
    else sendError(this.#calls, this.#reply, errorText(tooLarge("the answer", size, link.maxPayload)), "");
  }

  abandon(error: ServiceError): void {
    if (this.#over) return;
    const text = errorText(error);
    this.#close(text);
    sendError(this.#calls, this.#reply, text, "");
  }

  /** The client has given the call up. */
  abandoned(): void {
    if (this.#over) return;
    this.#close(errorText(new ServiceError("canceled", "the client went away")));
    this.#call?.abandoned();
  }

  #close(error: string | undefined): void {
    this.#over = true;
    if (this.#reply !== "") this.#calls.forget(this.#reply);
    this.#count.ended(this.#calls.clock.now() - this.#startedMs, error);
  }
}
