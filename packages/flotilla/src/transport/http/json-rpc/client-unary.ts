import { parseJson } from "../../../codec/json.ts";
import type { Context } from "../../../context/context.ts";
import { unreadableAnswer } from "../../../endpoint/unreadable-answer.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { responseObserver } from "../../../metadata/call.ts";
import type { CallForms } from "../client.ts";
import { metadataOf, responseError } from "../client-errors.ts";
import { callHeaders } from "../client-headers.ts";
import { type Answer, acceptedEncodings, plainBody, post, splitTrailers } from "../client-unary.ts";
import type { JsonRpcClientSettings } from "./client-options.ts";
import { readError } from "./errors.ts";

/** The members of a response that count. */
interface RpcResponse {
  readonly jsonrpc?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
  readonly id?: unknown;
}

/** Calls unary methods by JSON-RPC, a request each. */
export function rpcForm({ path, methodName }: JsonRpcClientSettings): CallForms["unary"] {
  return (method, settings, roundTrip) => {
    const { input, output } = method;
    const name = methodName(method);
    const opening = `{"jsonrpc":"2.0","method":${JSON.stringify(name)},"params":`;
    const accept = acceptedEncodings(settings);
    const fixed = ["content-type", "application/json", "accept", "application/json", ...accept];
    let lastId = 0;

    async function read(ctx: Context, answer: Answer, id: number): Promise<unknown> {
      const plain = await plainBody(answer, settings.maxBodyBytes);
      responseObserver(ctx)?.(...splitTrailers(answer.headers));
      const response = readResponse(plain);
      if (response?.error !== undefined && response.error !== null && isOf(response, id)) {
        const error = readError(response.error, metadataOf(answer.headers));
        if (error !== undefined) throw error;
      }
      if (answer.status !== 200) throw responseError(answer.status, answer.headers, plain);
      if (response?.id !== id || response.jsonrpc !== "2.0" || response.result === undefined) {
        throw new ServiceError("internal", `${name} was answered with what is no response of JSON-RPC 2.0 to its id`);
      }
      try {
        return output.fromJsonValue(response.result);
      } catch (error) {
        throw unreadableAnswer(name, error);
      }
    }

    return async function jsonRpc(ctx, request) {
      const id = ++lastId;
      const headers = callHeaders(ctx, fixed);
      const body = `${opening}${input.toJson(request)},"id":${id}}`;
      return read(ctx, await post(ctx, path, headers, body, settings, roundTrip), id);
    };
  };
}

/** What a body holds; undefined when it is no JSON object, or has keys that are refused. */
function readResponse(body: Buffer): RpcResponse | undefined {
  let value: unknown;
  try {
    value = parseJson(body.toString("utf8"));
  } catch {
    // Not a server of JSON-RPC, or not one to listen to: what is said of it comes from the status, or from there being no answer.
    return undefined;
  }
  return typeof value === "object" && value !== null ? value : undefined;
}

/** Whether an error is this request's: a server that could not read the id says null. */
function isOf({ jsonrpc, id }: RpcResponse, own: number): boolean {
  return jsonrpc === "2.0" && (id === own || id === null || id === undefined);
}
