/**
 * The sixteen canonical error codes shared by gRPC and Connect, spelled as Connect spells them.
 *
 * Source: https://connectrpc.com/docs/protocol/#error-codes and grpc/grpc doc/statuscodes.md.
 */
export type Code =
  | "canceled"
  | "unknown"
  | "invalid_argument"
  | "deadline_exceeded"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "resource_exhausted"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "unimplemented"
  | "internal"
  | "unavailable"
  | "data_loss"
  | "unauthenticated";

interface CodeRow {
  /** gRPC status number, 1 to 16. */
  readonly grpc: number;
  /** HTTP status of a unary Connect or REST response that carries this code. */
  readonly http: number;
  /** Human title, used by problem+json. */
  readonly title: string;
}

/** Every code with its number in gRPC, its HTTP status (Connect protocol, "error codes" table) and a title. */
export const codes: Readonly<Record<Code, CodeRow>> = {
  canceled: { grpc: 1, http: 499, title: "Canceled" },
  unknown: { grpc: 2, http: 500, title: "Unknown error" },
  invalid_argument: { grpc: 3, http: 400, title: "Invalid argument" },
  deadline_exceeded: { grpc: 4, http: 504, title: "Deadline exceeded" },
  not_found: { grpc: 5, http: 404, title: "Not found" },
  already_exists: { grpc: 6, http: 409, title: "Already exists" },
  permission_denied: { grpc: 7, http: 403, title: "Permission denied" },
  resource_exhausted: { grpc: 8, http: 429, title: "Resource exhausted" },
  failed_precondition: { grpc: 9, http: 400, title: "Failed precondition" },
  aborted: { grpc: 10, http: 409, title: "Aborted" },
  out_of_range: { grpc: 11, http: 400, title: "Out of range" },
  unimplemented: { grpc: 12, http: 501, title: "Unimplemented" },
  internal: { grpc: 13, http: 500, title: "Internal error" },
  unavailable: { grpc: 14, http: 503, title: "Unavailable" },
  data_loss: { grpc: 15, http: 500, title: "Data loss" },
  unauthenticated: { grpc: 16, http: 401, title: "Unauthenticated" },
};

const byGrpc: readonly (Code | undefined)[] = Object.entries(codes).reduce<(Code | undefined)[]>(
  (list, [code, row]) => {
    list[row.grpc] = code as Code;
    return list;
  },
  [],
);

/** Whether a string is one of the sixteen codes. */
export function isCode(value: unknown): value is Code {
  return typeof value === "string" && Object.hasOwn(codes, value);
}

/** The code of a gRPC status number; undefined for 0 (ok), `unknown` for a number outside the table. */
export function codeFromGrpc(status: number): Code | undefined {
  return status === 0 ? undefined : (byGrpc[status] ?? "unknown");
}

/**
 * The code of an HTTP answer that carries no code of its own (a proxy's, a load balancer's).
 *
 * Source: Connect protocol, "HTTP to error code" table.
 */
export function codeFromHttp(status: number): Code {
  switch (status) {
    case 400:
      return "internal";
    case 401:
      return "unauthenticated";
    case 403:
      return "permission_denied";
    case 404:
      return "unimplemented";
    case 429:
    case 502:
    case 503:
    case 504:
      return "unavailable";
    default:
      return "unknown";
  }
}
