import { ServiceError } from "flotilla/errors";

/**
 * The error of what the broker would end the connection for.
 *
 * @param spare - bytes of the limit that are kept for something else.
 */
export function tooLarge(subject: string, size: number, most: number, spare = 0): ServiceError {
  const less = spare === 0 ? "" : `, less ${spare} for what is added to a dead letter`;
  return new ServiceError(
    "resource_exhausted",
    `${subject}: ${size} bytes with headers are over the broker's limit of ${most} (max_payload)${less}`,
  );
}
