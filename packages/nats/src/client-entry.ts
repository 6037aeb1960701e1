import type { Msg } from "@nats-io/nats-core";
import type { Clock } from "flotilla/clock";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import { type Accepted, fromConnectError, JSON_TYPE } from "flotilla/wire";
import type { ClientSettings } from "./client-options.ts";
import { EncodedHeaders, headerLines } from "./headers.ts";
import type { Link } from "./link.ts";
import { tooLarge } from "./too-large.ts";

/** A call as its connection sees it. */
export interface ClientEntry extends Accepted {
  readonly subject: string;
  /** Sends the request, which has waited for so long. @throws ServiceError when it cannot be sent. */
  start(reply: string, waitedMs: number): void;
  received(msg: Msg): void;
  /** Ends the call with an error of the connection's own. */
  fail(error: ServiceError): void;
  /** Where the server hears that the call was given up; undefined where nobody can take it back. */
  readonly cancelSubject: string | undefined;
  /** What it is named by there; undefined before it was sent. */
  readonly reply: string | undefined;
  /** Whether all of its answer has come, and only waits to be read. */
  readonly answered: boolean;
  /** When it is given up although nobody has said so, on the connection's clock. */
  readonly giveUpAtMs: number;
}

/** A connection as its calls see it. */
export interface ClientSide {
  readonly settings: ClientSettings;
  readonly clock: Clock;
  readonly link: Link;
  /** Forgets a call that is over. */
  forget(entry: ClientEntry, reply: string | undefined): void;
}

/**
 * The request of a call: its subject, bytes and headers, checked against what the broker takes.
 *
 * @param spare - bytes of the broker's limit that are not for this message.
 */
export function sendRequest(
  link: Link,
  subject: string,
  payload: Uint8Array,
  reply: string,
  lines: string,
  spare = 0,
): void {
  const head = lines === "" ? undefined : new EncodedHeaders(lines);
  const size = payload.length + (head?.size ?? 0);
  if (size + spare > link.maxPayload) throw tooLarge(subject, size, link.maxPayload, spare);
  try {
    link.send(subject, payload, reply, head);
  } catch (error) {
    throw new ServiceError("unavailable", `${subject}: the request could not be sent`, {
      cause: error,
      retry: { unprocessed: true },
    });
  }
}

/** Says that a call was given up, to whoever may have it. */
export function sendCancel(link: Link, { cancelSubject, reply }: Pick<ClientEntry, "cancelSubject" | "reply">): void {
  if (cancelSubject === undefined || reply === undefined) return;
  link.send(cancelSubject, Buffer.from(reply), undefined, undefined);
}

/** The header lines of a request. JSON need not be said; the time that is left is less by what the request has waited. */
export function requestLines(headers: MetadataRecord, waitedMs: number): string {
  const left = headers["connect-timeout-ms"];
  if (waitedMs > 0 && left !== undefined) {
    headers["connect-timeout-ms"] = String(Math.max(0, Math.floor(Number(left) - waitedMs)));
  }
  return headerLines(headers, "", headers["content-type"] === JSON_TYPE ? "content-type" : "");
}

/** Nobody listens to the subject: what the broker says at once. */
export function nobodyServes(subject: string, address: string): ServiceError {
  return new ServiceError("unavailable", `nobody serves ${subject} at ${address}`, { retry: { unprocessed: true } });
}

/** The error of a call that reached no handler. @param text - as the Connect protocol writes it. */
export function unprocessed(text: string): ServiceError {
  const { code, message, details, retry } = fromConnectError(JSON.parse(text), undefined);
  return new ServiceError(code, message, { details, retry: { ...retry, unprocessed: true } });
}
