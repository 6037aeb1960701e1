import type { Msg } from "@nats-io/nats-core";
import type { ServiceError } from "flotilla/errors";
import { EncodedHeaders, headerLine, headerLines } from "../headers.ts";
import { headOf } from "../incoming.ts";
import type { Link } from "../link.ts";
import type { Place } from "./delivery.ts";
import { DEAD_PREFIX, type JetStreamSettings } from "./options.ts";
import { readAnswer } from "./stream-answer.ts";

const TIMEOUT_MS = 5000;
/** Longest reason, characters. */
const MAX_REASON = 1024;

/**
 * Puts a message among the dead letters of its stream: as it came, with what became of it in its headers. Once in the window in which the stream
 * knows what it has stored, however often it is put there.
 *
 * @throws Error when no stream has said that it is there.
 */
export async function bury(
  link: Link,
  { stream, group }: JetStreamSettings,
  msg: Msg,
  { deliveries, sequence, storedAt }: Place,
  error: ServiceError,
): Promise<void> {
  const lines =
    // A stream that is made anew begins with the same numbers again.
    headerLine("Nats-Msg-Id", `${stream}:${group}:${sequence}:${storedAt}`) +
    headerLine("Flotilla-Dead-Reason", `${error.code}: ${error.message}`.slice(0, MAX_REASON)) +
    headerLine("Flotilla-Dead-Stream", stream) +
    headerLine("Flotilla-Dead-Group", group) +
    headerLine("Flotilla-Dead-Sequence", String(sequence)) +
    headerLine("Flotilla-Dead-Deliveries", String(deliveries)) +
    linesOf(msg);
  const subject = `${DEAD_PREFIX}.${stream}.${msg.subject}`;
  const connection = await link.open();
  const answer = await connection.request(subject, msg.data, {
    timeout: TIMEOUT_MS,
    headers: new EncodedHeaders(lines).forPublish,
  });
  const { error: refused } = readAnswer(answer, subject);
  if (refused !== undefined) throw new Error(refused.description);
}

/** The headers of a message as they came, if they can be read. */
function linesOf(msg: Msg): string {
  try {
    const head = headOf(msg);
    return head === undefined ? "" : headerLines(head.headers);
  } catch {
    return headerLine("Flotilla-Dead-Headers", "unreadable");
  }
}
