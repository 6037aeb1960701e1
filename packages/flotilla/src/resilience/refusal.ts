import type { Code } from "../errors/code.ts";
import { errorInfo, FLOTILLA_DOMAIN } from "../errors/details.ts";
import type { ErrorDetail, RetryInfo, ServiceError } from "../errors/service-error.ts";
import { withoutStack } from "../errors/without-stack.ts";

/** The reason in the error detail of calls refused because too many are in flight. */
export const OVERLOADED = "OVERLOADED";

/** The reason in the error detail of calls refused because they could not end in time. */
export const DEADLINE_TOO_NEAR = "DEADLINE_TOO_NEAR";

/** The error of a call that a policy refuses: it costs next to nothing, and says why in words and for programs. */
export function refusal(code: Code, reason: string, message: string, retry: RetryInfo): ServiceError {
  return withoutStack(code, message, { details: detailsOf(reason), retry });
}

/** By reason, of which there are a handful: never made twice, and so never encoded twice. */
const known = new Map<string, readonly ErrorDetail[]>();

function detailsOf(reason: string): readonly ErrorDetail[] {
  let details = known.get(reason);
  if (details === undefined) {
    details = [Object.freeze(errorInfo(Object.freeze({ reason, domain: FLOTILLA_DOMAIN })))];
    known.set(reason, details);
  }
  return details;
}
