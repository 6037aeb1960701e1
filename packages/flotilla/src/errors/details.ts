import { type ErrorDetail, ServiceError } from "./service-error.ts";

/** One field that was wrong: the dotted path of the field, and what was expected of it. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** google.rpc.BadRequest: which fields of the request were wrong. */
export interface BadRequest {
  readonly fieldViolations: readonly FieldViolation[];
}

/** google.rpc.ErrorInfo: a machine-readable reason (`OUT_OF_STOCK`), whose it is (`shop.example`), and strings about it. */
export interface ErrorInfo {
  readonly reason: string;
  readonly domain: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** google.rpc.RetryInfo as its canonical JSON: `retryDelay` like `"1.5s"`. */
export interface RetryInfoDetail {
  readonly retryDelay: string;
}

/** The full names of the detail types that cross every transport as protobuf messages of google.rpc. */
export const detailTypes = {
  badRequest: "google.rpc.BadRequest",
  errorInfo: "google.rpc.ErrorInfo",
  retryInfo: "google.rpc.RetryInfo",
} as const;

/** Whose reasons these are: the `domain` of every `ErrorInfo` that Flotilla itself makes. */
export const FLOTILLA_DOMAIN = "flotilla.dev";

/** A detail that names the fields that were wrong. */
export function badRequest(fieldViolations: readonly FieldViolation[]): ErrorDetail<BadRequest> {
  return { type: detailTypes.badRequest, value: { fieldViolations } };
}

/** A detail that gives a machine-readable reason. */
export function errorInfo(info: ErrorInfo): ErrorDetail<ErrorInfo> {
  return { type: detailTypes.errorInfo, value: info };
}

/** The reason a policy of Flotilla gave for refusing a call; undefined for all other errors. */
export function refusalReason(error: unknown): string | undefined {
  if (!(error instanceof ServiceError)) return undefined;
  const info = findDetail<ErrorInfo>(error, detailTypes.errorInfo);
  return info?.domain === FLOTILLA_DOMAIN ? info.reason : undefined;
}

/** The value of the first detail of the given type, or undefined. */
export function findDetail<Value>(error: ServiceError, type: string): Value | undefined {
  return error.details.find((detail) => detail.type === type)?.value as Value | undefined;
}
