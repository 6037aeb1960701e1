import { isUtf8 } from "node:buffer";
import { validateHeaderName, validateHeaderValue } from "node:http";
import { Writable } from "node:stream";
import type { Response } from "../http-message.ts";
import type { ApiGatewayResultV1, ApiGatewayResultV2 } from "./events.ts";
import type { LambdaRequest } from "./request.ts";

/** Headers that the platform makes itself, or that speak of a connection there is not. */
const NOT_PASSED: ReadonlySet<string> = new Set(["content-length", "connection", "keep-alive", "transfer-encoding"]);

/** Types that are text to the last byte; others go as base64. */
const TEXT = /^(?:text\/|application\/(?:json|problem\+json|xml|javascript|grpc-web-text)(?:$|[\s;+]))/;

/** How an answer came to its end. */
export type Ending = "complete" | "too large" | "cut";

/** The answer to an event, with all that the HTTP server uses of node's own. */
export class LambdaResponse extends Writable {
  statusCode = 200;
  headersSent = false;
  /** Names, in lower case, and their values. */
  readonly headers = new Map<string, string[]>();
  readonly ended: Promise<Ending>;
  readonly #request: LambdaRequest;
  readonly #maxBytes: number;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #end!: (how: Ending) => void;

  /** @param maxBytes - of the body, beyond which it is given up. */
  constructor(request: LambdaRequest, maxBytes: number) {
    super({ decodeStrings: true });
    this.#request = request;
    this.#maxBytes = maxBytes;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** @throws TypeError as node's own, for what cannot be a header. */
  writeHead(status: number, headers: readonly string[] = []): this {
    for (let i = 0; i < headers.length; i += 2) {
      validateHeaderName(headers[i]!);
      validateHeaderValue(headers[i]!, headers[i + 1]!);
    }
    this.statusCode = status;
    this.headersSent = true;
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!.toLowerCase();
      const values = this.headers.get(name);
      if (values === undefined) this.headers.set(name, [headers[i + 1]!]);
      else values.push(headers[i + 1]!);
    }
    return this;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#bytes += chunk.byteLength;
    if (this.#bytes > this.#maxBytes) {
      this.#end("too large");
      this.destroy();
    } else if (this.#request.method !== "HEAD") this.#chunks.push(chunk);
    done();
  }

  override _final(done: () => void): void {
    this.#end("complete");
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // Of the two endings the first counts.
    this.#end("cut");
    // This is how a call learns that nobody waits for it.
    this.#request.socket.emit("close");
    done(error);
  }

  get body(): Buffer {
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
  }

  /** The names that are passed on, with their values. */
  *passed(): Generator<[name: string, values: readonly string[]]> {
    for (const [name, values] of this.headers) if (!NOT_PASSED.has(name)) yield [name, values];
  }

  /** As the server knows responses. */
  asResponse(): Response {
    return this as unknown as Response;
  }
}

export function toV2(response: LambdaResponse): ApiGatewayResultV2 {
  const headers = [...response.passed()].filter(([name]) => name !== "set-cookie");
  return {
    statusCode: response.statusCode,
    headers: Object.fromEntries(headers.map(([name, values]) => [name, values.join(", ")])),
    cookies: response.headers.get("set-cookie") ?? [],
    ...bodyOf(response),
  };
}

export function toV1(response: LambdaResponse): ApiGatewayResultV1 {
  const headers = [...response.passed()];
  const once = headers.flatMap(([name, values]) => (values.length === 1 ? [[name, values[0]!] as const] : []));
  return {
    statusCode: response.statusCode,
    headers: Object.fromEntries(once),
    multiValueHeaders: Object.fromEntries(headers.filter(([, values]) => values.length > 1)),
    ...bodyOf(response),
  };
}

function bodyOf({ headers, body }: LambdaResponse): { body: string; isBase64Encoded: boolean } {
  const plain = !headers.has("content-encoding") && TEXT.test(headers.get("content-type")?.[0] ?? "text/");
  return plain && isUtf8(body)
    ? { body: body.toString("utf8"), isBase64Encoded: false }
    : { body: body.toString("base64"), isBase64Encoded: true };
}
