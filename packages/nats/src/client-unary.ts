import type { Msg } from "@nats-io/nats-core";
import type { MethodInfo } from "flotilla/endpoint";
import type { Code, ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import { type Caller, newRecord, PROTO_TYPE, type Wire } from "flotilla/wire";
import {
  type ClientEntry,
  type ClientSide,
  nobodyServes,
  requestLines,
  sendCancel,
  sendRequest,
  unprocessed,
} from "./client-entry.ts";
import { NO_RESPONDERS, single, splitTrailers, UNPROCESSED_HEADER, utf8 } from "./headers.ts";
import { bytesOf, headOf, wireOf } from "./incoming.ts";
import { cancelSubjectOf, subjectOf } from "./subjects.ts";

/** Beyond the server's own limit for the call, an answer is no longer waited for. */
const GRACE_MS = 5000;

/** A call with one request and one response. */
export class ClientUnary implements ClientEntry {
  readonly answered = false;
  readonly subject: string;
  readonly cancelSubject: string;
  reply: string | undefined;
  readonly giveUpAtMs: number;
  readonly #calls: ClientSide;
  readonly #headers: MetadataRecord;
  readonly #request: Wire;
  readonly #caller: Caller;
  #over = false;

  constructor(calls: ClientSide, method: MethodInfo, headers: MetadataRecord, request: Wire, caller: Caller) {
    this.#calls = calls;
    this.#headers = headers;
    this.#request = request;
    this.#caller = caller;
    this.subject = subjectOf(calls.settings.prefix, method.procedure);
    this.cancelSubject = cancelSubjectOf(calls.settings.prefix, method.service);
    // With a deadline of its own the context ends the call; without, the server's limit does, if there still is a server.
    this.giveUpAtMs =
      headers["connect-timeout-ms"] === undefined
        ? calls.clock.now() + (method.timeoutMs ?? calls.settings.wire.timeoutMs) + GRACE_MS
        : Infinity;
  }

  start(reply: string, waitedMs: number): void {
    const lines = requestLines(this.#headers, waitedMs);
    sendRequest(this.#calls.link, this.subject, bytesOf(this.#request), reply, lines);
    this.reply = reply;
  }

  received(msg: Msg): void {
    const head = headOf(msg);
    if (head?.status === NO_RESPONDERS && msg.data.length === 0) {
      return this.fail(nobodyServes(this.subject, this.#calls.link.address));
    }
    const binary = this.#headers["content-type"] === PROTO_TYPE;
    if (head === undefined) {
      this.#close();
      this.#caller.head(newRecord());
      void this.#caller.message(wireOf(msg.data, binary));
      return this.#caller.end(undefined, newRecord());
    }
    const { headers, trailers } = splitTrailers(head.headers);
    const code = single(head.headers, "nats-service-error-code");
    if (code === undefined) {
      this.#close();
      this.#caller.head(headers);
      void this.#caller.message(wireOf(msg.data, binary));
      return this.#caller.end(undefined, trailers);
    }
    const error = errorText(msg.data, code, single(head.headers, "nats-service-error"));
    if (head.headers[UNPROCESSED_HEADER] !== undefined) return this.fail(unprocessed(error));
    this.#close();
    this.#caller.head(headers);
    this.#caller.end(error, trailers);
  }

  fail(error: ServiceError): void {
    if (this.#over) return;
    this.#close();
    this.#caller.abandon(error);
  }

  abandoned(): void {
    if (this.#over) return;
    this.#close();
    sendCancel(this.#calls.link, this);
  }

  #close(): void {
    this.#over = true;
    this.#calls.forget(this, this.reply);
  }
}

/** What services of others mean by their numbers: those of HTTP, said by the service itself and not by something on the way to it. */
const codeOf: ReadonlyMap<string, Code> = new Map([
  ["400", "invalid_argument"],
  ["401", "unauthenticated"],
  ["403", "permission_denied"],
  ["404", "not_found"],
  ["408", "deadline_exceeded"],
  ["409", "aborted"],
  ["429", "resource_exhausted"],
  ["499", "canceled"],
  ["500", "internal"],
  ["501", "unimplemented"],
  ["503", "unavailable"],
  ["504", "deadline_exceeded"],
]);

/** The error of an answer as the Connect protocol writes it: ours as it is, that of any other service out of its headers. */
function errorText(body: Uint8Array, status: string, message: string | undefined): string {
  const text = utf8(body);
  if (isConnectError(text)) return text;
  const code = codeOf.get(status) ?? "unknown";
  return JSON.stringify({ code, message: message ?? `the service answered with error ${status}` });
}

function isConnectError(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && typeof (value as { code?: unknown }).code === "string";
  } catch {
    return false;
  }
}
