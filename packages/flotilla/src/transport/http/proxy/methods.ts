import type { MessageType } from "../../../endpoint/message-type.ts";
import type { MethodInfo } from "../../../endpoint/method-info.ts";
import { ServiceError } from "../../../errors/service-error.ts";

/** Verbs that change nothing, and those that may be repeated (RFC 9110, section 9.2). */
const SAFE: readonly string[] = ["GET", "HEAD", "OPTIONS"];
const IDEMPOTENT: readonly string[] = [...SAFE, "PUT", "DELETE"];
export const VERBS: readonly string[] = [...IDEMPOTENT, "POST", "PATCH"];
/** The method of requests that change the protocol of their connection. */
export const UPGRADE = "UPGRADE";
/** The method of all that have none of their own. */
export const OTHER = "OTHER";

function unreadable(): never {
  throw new ServiceError("internal", "what a proxy passes on has no form of its own");
}

/** What passes is nobody's message: it is neither read nor checked. */
const passing: MessageType = {
  typeName: undefined,
  validate: (value) => ({ value }),
  fromJson: unreadable,
  fromJsonValue: unreadable,
  toJson: unreadable,
  binary: undefined,
  jsonSchema: () => undefined,
};

/**
 * The methods of an upstream as middlewares and telemetry see them, by verb: `orders/GET`. What may be tried twice is told by the verb; the
 * answer is a stream, so that a call lasts as long as it does.
 */
export function methodsOf(service: string): readonly MethodInfo[] {
  return [...VERBS, UPGRADE, OTHER].map((name) =>
    Object.freeze({
      service,
      name,
      procedure: `${service}/${name}`,
      key: name,
      kind: "server_stream",
      // With the head.
      beginsAtOnce: true,
      idempotent: IDEMPOTENT.includes(name),
      safe: SAFE.includes(name),
      timeoutMs: undefined,
      input: passing,
      output: passing,
      rest: undefined,
      doc: undefined,
      failed: undefined,
    }),
  );
}
