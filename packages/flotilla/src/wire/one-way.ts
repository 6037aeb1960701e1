import type { Code } from "../errors/code.ts";
import { detailTypes, type ErrorInfo, FLOTILLA_DOMAIN, findDetail } from "../errors/details.ts";
import type { ServiceError } from "../errors/service-error.ts";

/** Codes that another delivery would end with as well. */
const PERMANENT: ReadonlySet<Code> = new Set(["invalid_argument", "unimplemented", "out_of_range"]);

/** Codes of what passes. */
const PASSING: ReadonlySet<Code> = new Set([
  "aborted",
  "canceled",
  "deadline_exceeded",
  "resource_exhausted",
  "unavailable",
]);

/**
 * Whether a message whose handler has failed so could be delivered as often as one likes: it belongs among the dead letters. So it is with
 * `invalid_argument`, `unimplemented` and `out_of_range`, and with `retry.never`, but not where the code is one of what passes (`aborted`,
 * `canceled`, `deadline_exceeded`, `resource_exhausted`, `unavailable`): there `retry.never` means that no caller shall try at once again,
 * as calls say that were retried in vain further down; a later delivery is another matter.
 */
export function isHopeless({ code, retry }: ServiceError): boolean {
  return PERMANENT.has(code) || (retry?.never === true && !PASSING.has(code));
}

/** Whether a policy of Flotilla's, here or further down, has refused: for load, rate, time. Nobody has tried then. */
export function isRefusal(error: ServiceError): boolean {
  return PASSING.has(error.code) && findDetail<ErrorInfo>(error, detailTypes.errorInfo)?.domain === FLOTILLA_DOMAIN;
}
