import type { ConnectErrorJson } from "../../../codec/connect-error.ts";
import { codes } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import type { InvokeResult } from "./events.ts";
import type { LambdaResponse } from "./response.ts";

/**
 * What an invocation fails with: `errorType` is the code, `errorMessage` the error as Connect writes it, `{"code", "message", "details"}`,
 * with its headers and trailers, if any, as `metadata` and `trailers`.
 * So the platform counts it as a failure, retries what was invoked asynchronously, and a state machine can catch it by its code.
 */
export class InvokeError extends Error {
  override readonly name: string;

  constructor(error: ConnectErrorJson & { readonly metadata?: Values; readonly trailers?: Values }) {
    super(JSON.stringify(error));
    this.name = error.code;
    // The platform would send it to the caller.
    this.stack = `${this.name}: ${this.message}`;
  }
}

/** What stands before the names of trailers in a unary answer of the Connect protocol. */
const TRAILER = "trailer-";

/** Headers of the answer that are the protocol's, or for browsers. */
const NO_METADATA = /^(?:content-.*|retry-after|vary|accept-.*|access-control-.*|allow)$/;

/** The answer to an invocation. @throws InvokeError when it was an error; ServiceError when nobody knows which. */
export function toInvoke(response: LambdaResponse): InvokeResult {
  const json = jsonOf(response);
  const { metadata, trailers } = metadataOf(response);
  if (response.statusCode !== 200) {
    const { code } = Object(json) as ConnectErrorJson;
    if (!Object.hasOwn(codes, code)) {
      throw new ServiceError("unknown", `the answer has status ${response.statusCode}`);
    }
    const error = { ...(json as ConnectErrorJson), ...some("metadata", metadata), ...some("trailers", trailers) };
    throw new InvokeError(error);
  }
  return { output: json, metadata, ...some("trailers", trailers) };
}

/** A member, unless it would be empty. */
function some<Name extends string>(name: Name, values: Values): { [name in Name]?: Values } {
  return Object.keys(values).length === 0 ? {} : ({ [name]: values } as { [name in Name]: Values });
}

type Values = Record<string, string | readonly string[]>;

function metadataOf(response: LambdaResponse): { metadata: Values; trailers: Values } {
  const metadata: Values = {};
  const trailers: Values = {};
  for (const [name, values] of response.passed()) {
    if (NO_METADATA.test(name)) continue;
    const value = values.length === 1 ? values[0]! : values;
    if (name.startsWith(TRAILER)) trailers[name.slice(TRAILER.length)] = value;
    else metadata[name] = value;
  }
  return { metadata, trailers };
}

function jsonOf({ body }: LambdaResponse): unknown {
  try {
    return JSON.parse(body.toString("utf8")) as unknown;
  } catch {
    // An error in a form of the service's own (`hooks.encodeError`): the status has to do.
    return undefined;
  }
}
