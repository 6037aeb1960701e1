import type { IncomingMessage, ServerResponse } from "node:http";
import { drained } from "../../codec/drained.ts";
import { encodeTextEnvelope } from "../../codec/envelope.ts";
import type { HttpListenerParts } from "../../endpoint/http-protocol.ts";
import { ServiceError } from "../../errors/service-error.ts";
import type { MetadataRecord } from "../../metadata/metadata.ts";
import { type Carried, type Carrier, peerOf } from "./carrier.ts";

/** Flag of the frame that holds the trailers. */
const TRAILERS = 0b1000_0000;

/**
 * Carries a call of gRPC-Web, on either version of HTTP: the trailers are the last frame of the body. In the text form, all is base64.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 */
export class WebCarrier implements Carrier {
  readonly body: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #text: boolean;
  readonly #listener: HttpListenerParts;
  #call: Carried | undefined;
  #over = false;
  /** Of the text form: characters that make no whole group of four yet. */
  #rest = "";

  constructor(req: IncomingMessage, res: ServerResponse, text: boolean, listener: HttpListenerParts) {
    this.body = req;
    this.#res = res;
    this.#text = text;
    this.#listener = listener;
    // An error nobody hears would end the process; what it means is told by the close.
    req.on("error", () => {});
    res.on("error", () => {});
  }

  get peer(): string {
    return peerOf(this.body.socket);
  }

  read(call: Carried): void {
    this.#call = call;
    const { body } = this;
    this.#res.on("close", () => {
      if (this.#over) return;
      this.#over = true;
      call.aborted();
    });
    body.on("data", (chunk: Buffer) => this.#received(chunk));
    body.on("end", () => {
      if (this.#over) return;
      if (this.#rest !== "") return this.#badText();
      call.receivedAll();
    });
  }

  #received(chunk: Buffer): void {
    if (this.#over) return;
    if (!this.#text) return this.#call!.received(chunk);
    const text = this.#rest + chunk.toString("latin1");
    const whole = text.length - (text.length % 4);
    this.#rest = text.slice(whole);
    // Each message, or part of one, may have been encoded by itself: padding stands in the middle, too.
    for (const part of text.slice(0, whole).match(/[^=]+={0,2}/g) ?? []) {
      if (!/^[A-Za-z0-9+/]+={0,2}$/.test(part) || part.length % 4 !== 0) return this.#badText();
      this.#call!.received(Buffer.from(part, "base64"));
      if (this.#over) return;
    }
  }

  #badText(): void {
    this.#call!.failed(
      new ServiceError("invalid_argument", "the body is not valid base64, as application/grpc-web-text has it"),
    );
  }

  answer(head: MetadataRecord, frame: Buffer, trailers: MetadataRecord): void {
    this.head(head);
    this.#end(Buffer.concat([frame, trailerFrame(trailers)]));
  }

  head(head: MetadataRecord): void {
    const headers: string[] = [];
    for (const name of Object.keys(head)) {
      const value = head[name];
      if (name === ":status" || value === undefined) continue;
      if (name === "content-type") headers.push(name, this.#contentType(String(value)));
      else for (const one of typeof value === "string" ? [value] : value) headers.push(name, one);
    }
    this.#listener.mark(headers, this.body);
    this.#res.writeHead(200, headers);
  }

  #contentType(type: string): string {
    const suffix = type.slice("application/grpc".length) || "+proto";
    return `application/grpc-web${this.#text ? "-text" : ""}${suffix}`;
  }

  write(frame: Buffer): boolean {
    return this.#res.write(this.#encode(frame));
  }

  drained(): Promise<void> {
    return drained(this.#res);
  }

  end(trailers: MetadataRecord): void {
    this.#end(trailerFrame(trailers));
  }

  /** The outcome goes into the body all the same: not every client looks for it in the headers. */
  fail(both: MetadataRecord): void {
    this.head({ "content-type": both["content-type"] });
    this.end({ ...both, ":status": undefined, "content-type": undefined });
  }

  #end(last: Buffer): void {
    this.#over = true;
    this.#res.end(this.#encode(last));
    if (!this.body.readableEnded) this.#listener.linger(this.body);
  }

  #encode(frame: Buffer): Buffer | string {
    return this.#text ? frame.toString("base64") : frame;
  }

  cut(): void {
    this.#over = true;
    this.#res.destroy();
  }
}

function trailerFrame(trailers: MetadataRecord): Buffer {
  let text = "";
  for (const name of Object.keys(trailers)) {
    const value = trailers[name];
    if (value === undefined) continue;
    for (const one of typeof value === "string" ? [value] : value) text += `${name}: ${one}\r\n`;
  }
  return encodeTextEnvelope(TRAILERS, text);
}
