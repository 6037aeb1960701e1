import { hash } from "node:crypto";
import type { Context } from "../../context/context.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { outgoingHeaders, serverCall } from "../../metadata/call.ts";

/** What tells the calls of a method apart: calls with the same text get the same answer. Undefined: this one is on its own. */
export type CallKey = (ctx: Context, request: unknown, method: MethodInfo) => string | undefined;

/** Options of what gives one answer to several calls. */
export interface CallKeyOptions {
  /** Default: the request, the headers set for the call, and `vary`. */
  readonly key?: CallKey;
  /**
   * Headers of the incoming call that answers depend on; on a client, of the call that is being served meanwhile. Name all by which
   * your service tells callers apart. Default `authorization` and `cookie`. Not with `key`.
   */
  readonly vary?: readonly string[];
}

const VARY = ["authorization", "cookie"] as const;
/** Longer texts are kept as their digest, so that a large request makes no large key. */
const MAX_LENGTH = 256;

/** The key of each call of a method. @throws TypeError when an option is not legal, naming it. */
export function callKeyOf(who: string, { key, vary }: CallKeyOptions): CallKey {
  if (key !== undefined && vary !== undefined) throw new TypeError(`${who}: give key or vary, not both`);
  const text = key ?? byRequest(vary ?? VARY);
  return (ctx, request, method) => {
    const found = text(ctx, request, method);
    return found === undefined || found.length <= MAX_LENGTH ? found : hash("sha256", found, "base64");
  };
}

function byRequest(vary: readonly string[]): CallKey {
  return (ctx, request, method) => {
    const parts: string[] = [];
    const incoming = serverCall(ctx)?.headers;
    if (incoming !== undefined) for (const name of vary) parts.push(incoming.get(name) ?? "");
    const outgoing = outgoingHeaders(ctx);
    if (outgoing !== undefined) for (const [name, value] of outgoing.entries()) parts.push(name, value);
    const message = jsonOf(method, request);
    if (message === undefined) return undefined;
    // As JSON, so that no value can be taken for the border between two.
    return parts.length === 0 ? message : JSON.stringify(parts) + message;
  };
}

/** Undefined for a request that cannot be sent: whoever sends it says why. */
function jsonOf({ input }: MethodInfo, request: unknown): string | undefined {
  try {
    return input.toJson(request);
  } catch (error) {
    if (error instanceof ServiceError) return undefined;
    throw error;
  }
}
