import { type ConnectErrorJson, fromConnectError, toConnectError } from "../../../codec/connect-error.ts";
import { type Code, codes, isCode } from "../../../errors/code.ts";
import { detailTypes } from "../../../errors/details.ts";
import { ServiceError } from "../../../errors/service-error.ts";

/**
 * The errors that JSON-RPC itself knows, with the words of the specification.
 *
 * Source: https://www.jsonrpc.org/specification#error_object
 */
export const protocolErrors = {
  parse: { code: -32_700, message: "Parse error" },
  request: { code: -32_600, message: "Invalid Request" },
  method: { code: -32_601, message: "Method not found" },
  params: { code: -32_602, message: "Invalid params" },
} as const;

/** What an error is in the words of JSON-RPC. */
export interface RpcErrorKind {
  readonly code: number;
  readonly message: string;
}

const INTERNAL = -32_603;
/** The first of the codes that are a server's own: what has no code in JSON-RPC is this less its number in gRPC. */
const SERVER = -32_000;

/** The type of the detail that holds code and data of an error that came from no Flotilla server. */
export const FOREIGN_ERROR = "jsonrpc.Error";

/** The number that stands for a code: -32602, -32601 and -32603, else -32001 to -32016. */
export function rpcCode(code: Code): number {
  if (code === "invalid_argument") return protocolErrors.params.code;
  if (code === "unimplemented") return protocolErrors.method.code;
  return code === "internal" ? INTERNAL : SERVER - codes[code].grpc;
}

/**
 * An error object, as JSON text.
 *
 * @param as - what it is in the words of JSON-RPC; the error's own message is in `data`, then. Default: as its code says.
 */
export function errorText(error: ServiceError, as?: RpcErrorKind): string {
  return objectText(toConnectError(error), as);
}

/** As {@link errorText}, from the error as the Connect protocol writes it. */
export function errorTextOf(connectError: string): string {
  return objectText(JSON.parse(connectError) as ConnectErrorJson);
}

function objectText({ code, message = "", details }: ConnectErrorJson, as?: RpcErrorKind): string {
  // Nobody wants an empty sentence; a client of ours gets the message as it was, all the same.
  const said = as?.message ?? (message || codes[code as Code].title);
  const reason = details?.find(({ type }) => type === detailTypes.errorInfo)?.debug as { reason?: string } | undefined;
  return JSON.stringify({
    code: as?.code ?? rpcCode(code as Code),
    message: said,
    data: { code, ...(said !== message && { message }), ...(reason?.reason && { reason: reason.reason }), details },
  });
}

/** An answer with an error, both as JSON text. */
export function failure(id: string, error: string): string {
  return `{"jsonrpc":"2.0","error":${error},"id":${id}}`;
}

/** The ServiceError in an error object; undefined when it is no such object. What a foreign server says is kept in a detail. */
export function readError(object: unknown, metadata: Readonly<Record<string, string>>): ServiceError | undefined {
  if (typeof object !== "object" || object === null) return undefined;
  // Some leave the message out.
  const { code, message = "", data } = object as Record<string, unknown>;
  if (typeof code !== "number" || typeof message !== "string") return undefined;
  const own = (typeof data === "object" && data !== null ? data : {}) as Record<string, unknown>;
  if (isCode(own["code"])) {
    return fromConnectError({ message, ...own }, undefined, metadata);
  }
  const value = { code, ...(data !== undefined && { data }) };
  return new ServiceError(foreignCode(code), message, { metadata, details: [{ type: FOREIGN_ERROR, value }] });
}

/** What the number alone tells: of those that are a server's own, nothing. */
function foreignCode(code: number): Code {
  if (code === protocolErrors.method.code) return "unimplemented";
  if (code === protocolErrors.params.code) return "invalid_argument";
  // Whoever wrote the request, it was not the caller.
  const ours = code === protocolErrors.parse.code || code === protocolErrors.request.code;
  return ours || code === INTERNAL ? "internal" : "unknown";
}
