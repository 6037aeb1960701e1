import type { Clock } from "flotilla/clock";
import { codes, isCode, ServiceError } from "flotilla/errors";
import { type Serving, toConnectError } from "flotilla/wire";
import { EncodedHeaders, headerLine, UNPROCESSED_HEADER } from "./headers.ts";
import type { Link } from "./link.ts";
import type { NatsSettings } from "./options.ts";

/** Longest message of an error that also stands in a header, characters; the body has all of it. */
const MAX_HEADER_MESSAGE = 512;

/** A listener as its calls see it. */
export interface ServerSide {
  readonly settings: NatsSettings;
  readonly clock: Clock;
  readonly link: Link;
  readonly serving: Serving;
  /** The subject on which clients reach the stream of this token. */
  streamSubject(token: string): string;
  /** Forgets a call that is over. */
  forget(reply: string): void;
  forgetStream(token: string, reply: string): void;
}

/** An error as the Connect protocol writes it. */
export function errorText(error: ServiceError): string {
  return JSON.stringify(toConnectError(error));
}

/**
 * Answers with an error: whole in the body, in short in the headers that ADR-32 asks for.
 *
 * @param most - characters of the message that are kept when the broker does not take all of it.
 */
export function sendError(
  calls: ServerSide,
  reply: string,
  text: string,
  lines: string,
  untouched = false,
  most = MAX_HEADER_MESSAGE,
): void {
  if (reply === "") return;
  const { code, message = "" } = JSON.parse(text) as { code: unknown; message?: string };
  const known = isCode(code) ? code : "unknown";
  const all =
    headerLine("Nats-Service-Error", message.slice(0, MAX_HEADER_MESSAGE) || known) +
    headerLine("Nats-Service-Error-Code", String(codes[known].http)) +
    (untouched ? headerLine(UNPROCESSED_HEADER, "1") : "") +
    lines;
  const head = new EncodedHeaders(all);
  const payload = Buffer.from(text);
  const { link } = calls;
  if (payload.length + head.size <= link.maxPayload) link.answer(reply, payload, head);
  // Without its details, then, and with ever less of its message.
  else if (most > 0) {
    const short = JSON.stringify({ code: known, message: message.slice(0, most) });
    sendError(calls, reply, short, "", untouched, most >> 1);
  }
}

/** The refusal of a request that reached no handler. */
export function unprocessedError(thrown: unknown): { text: string; untouched: boolean } {
  const error = ServiceError.from(thrown);
  return { text: errorText(error), untouched: error.code === "unavailable" };
}
