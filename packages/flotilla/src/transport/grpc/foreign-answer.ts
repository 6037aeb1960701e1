import type { IncomingHttpHeaders } from "node:http2";
import { codeFromHttp } from "../../errors/code.ts";
import { ServiceError } from "../../errors/service-error.ts";

/** A body up to so long is read, bytes. */
const MAX_BYTES = 4096;
/** And so much of it quoted, characters. */
const MAX_QUOTED = 300;

const TEXT = /^(?:text\/(?!event-stream)|application\/(?:[\w.-]+\+)?json)/;

/** An answer that is none of gRPC's: a proxy's, or a server's that speaks something else. What it says is quoted where it is text, and known to be short. */
export class ForeignAnswer {
  readonly #message: string;
  readonly #status: number;
  readonly #chunks: Uint8Array[] = [];
  /** How much of the body is still to come. */
  #missing: number;

  constructor(address: string, status: number, headers: IncomingHttpHeaders) {
    const type = headers["content-type"] ?? "";
    this.#message = `${address} answered HTTP ${status} with content-type ${JSON.stringify(type)}`;
    this.#status = status;
    const length = Number(headers["content-length"] ?? 0);
    const plain = TEXT.test(type) && headers["content-encoding"] === undefined;
    this.#missing = plain && length <= MAX_BYTES ? length : 0;
  }

  /** Whether nothing of it is waited for. */
  get complete(): boolean {
    return this.#missing <= 0;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#missing -= chunk.byteLength;
  }

  /** What it means to the call. */
  get error(): ServiceError {
    const text = Buffer.concat(this.#chunks)
      .toString()
      .replaceAll(/[\s\p{Cc}]+/gu, " ")
      .trim();
    const quoted = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
    const code = this.#status === 200 ? "unknown" : codeFromHttp(this.#status);
    return new ServiceError(code, quoted === "" ? this.#message : `${this.#message}: ${quoted}`);
  }
}
