import { ServiceError } from "../errors/service-error.ts";

/**
 * The error of a call whose answer could not be read: what a server sends is its fault, not the caller's, who would take
 * `invalid_argument` for a word on the request.
 *
 * @param error - what reading threw. Anything but `invalid_argument` is given back as it is.
 */
export function unreadableAnswer(procedure: string, error: unknown): unknown {
  if (!(error instanceof ServiceError) || error.code !== "invalid_argument") return error;
  return new ServiceError("internal", `the answer of ${procedure} cannot be read: ${error.message}`, { cause: error });
}
