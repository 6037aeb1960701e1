import type { Msg } from "@nats-io/nats-core";
import { ServiceError } from "flotilla/errors";

/** What a stream says of a message that was sent to it. */
export interface StreamAnswer {
  readonly error?: { readonly code?: number; readonly description?: string };
  readonly stream: string;
  readonly seq: number;
  readonly duplicate?: boolean;
}

/** @throws ServiceError `failed_precondition` when whoever answered is no stream. */
export function readAnswer(msg: Msg, subject: string): StreamAnswer {
  let answer: Partial<StreamAnswer> | null = null;
  try {
    answer = msg.json<Partial<StreamAnswer> | null>();
  } catch {
    // Told below.
  }
  const refused = typeof answer?.error === "object" && answer.error !== null;
  if (refused || (typeof answer?.stream === "string" && typeof answer.seq === "number")) return answer as StreamAnswer;
  throw new ServiceError("failed_precondition", `${subject}: who answered is no stream: is a service listening there?`);
}
