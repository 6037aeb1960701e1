import { ServiceError } from "flotilla/errors";

/** The error of what the broker would end the connection for. */
export function tooLarge(subject: string, size: number, most: number): ServiceError {
  return new ServiceError(
    "resource_exhausted",
    `${subject}: ${size} bytes with headers are over the broker's limit of ${most} (max_payload)`,
  );
}
