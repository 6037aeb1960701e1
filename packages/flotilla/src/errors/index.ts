export { type Code, codeFromGrpc, codeFromHttp, codes, isCode } from "./code.ts";
export {
  type BadRequest,
  badRequest,
  detailTypes,
  type ErrorInfo,
  errorInfo,
  type FieldViolation,
  FLOTILLA_DOMAIN,
  findDetail,
  type RetryInfoDetail,
} from "./details.ts";
export {
  type ErrorDetail,
  type FailedAttempt,
  type RetryInfo,
  ServiceError,
  type ServiceErrorOptions,
} from "./service-error.ts";
