import { checkKeys, mayHaveForbiddenKeys } from "../../../codec/json.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { protocolErrors, type RpcErrorKind } from "./errors.ts";
import { numberIds } from "./number-ids.ts";

/** One request of a body: a call or a notification, or what is neither. */
export interface RpcRequest {
  /** As JSON text, to be echoed; `null` where it could not be read, undefined for a notification. */
  readonly id: string | undefined;
  readonly method: string;
  /** `{}` where there are none. */
  readonly params: unknown;
  /** What is wrong with it, if anything: it is answered with this and not served. */
  readonly refused?: RpcRefusal;
}

/** An answer in place of a result. */
export interface RpcRefusal {
  readonly as: RpcErrorKind;
  readonly error: ServiceError;
}

/** A body as far as it could be read. */
export interface RpcBody {
  /** Whether it is answered with an array. */
  readonly batch: boolean;
  readonly requests: readonly RpcRequest[];
}

/**
 * Reads the body of a request. Never throws: what is wrong with the whole of it is answered as one request would be.
 *
 * @param text - undefined when the body is not UTF-8, as JSON is (RFC 8259, section 8.1).
 * @param maxBatch - requests in one array beyond which none of them is served.
 */
export function readRequests(text: string | undefined, maxBatch: number): RpcBody {
  if (text === undefined) return one(refused("null", "parse", "the body is not valid UTF-8"));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return one(refused("null", "parse", `the body is not valid JSON: ${(error as Error).message}`, error));
  }
  const batch = Array.isArray(value);
  if (batch && (value as unknown[]).length === 0)
    return one(refused("null", "request", "a batch has a request at least"));
  if (batch && (value as unknown[]).length > maxBatch) {
    return one(refused("null", "request", `a batch has ${maxBatch} requests at most`));
  }
  const requests = batch ? (value as unknown[]) : [value];
  const numbers = requests.some(hasInexactId) ? numberIds(text, batch) : undefined;
  const suspicious = mayHaveForbiddenKeys(text);
  return { batch, requests: requests.map((request, place) => readRequest(request, suspicious, numbers?.[place])) };
}

/** @param number - how its id is written, where that is a number. */
function readRequest(value: unknown, suspicious: boolean, number: string | undefined): RpcRequest {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refused("null", "request", "a request is an object");
  }
  const id = Object.hasOwn(value, "id") ? idText((value as { id: unknown }).id, number) : undefined;
  if (id === "") return refused("null", "request", "id must be a string, a number or null");
  const { jsonrpc, method, params } = value as Record<string, unknown>;
  const whose = id ?? "null";
  if (jsonrpc !== "2.0") return refused(whose, "request", 'jsonrpc must be "2.0"');
  if (typeof method !== "string") return refused(whose, "request", "method must be a string");
  if (params !== undefined && (typeof params !== "object" || params === null)) {
    return refused(whose, "request", "params must be an object or an array");
  }
  const read = { id, method, params: params ?? {} };
  if (!suspicious) return read;
  try {
    checkKeys(params);
    return read;
  } catch (error) {
    return { ...read, refused: { as: protocolErrors.params, error: error as ServiceError } };
  }
}

/** An id as it is echoed; `""` for what is none. A number is echoed with all its digits, whatever JavaScript makes of it. */
function idText(id: unknown, number: string | undefined): string {
  if (typeof id === "number") return number ?? JSON.stringify(id);
  return typeof id === "string" || id === null ? JSON.stringify(id) : "";
}

function hasInexactId(request: unknown): boolean {
  const id = (request as { id?: unknown } | null)?.id;
  return typeof id === "number" && !Number.isSafeInteger(id);
}

function one(request: RpcRequest): RpcBody {
  return { batch: false, requests: [request] };
}

function refused(id: string, what: "parse" | "request", why: string, cause?: unknown): RpcRequest {
  const error = new ServiceError("invalid_argument", why, cause === undefined ? {} : { cause });
  return { id, method: "", params: undefined, refused: { as: protocolErrors[what], error } };
}
