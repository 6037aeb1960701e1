import { type ConnectErrorJson, toConnectError } from "../../../codec/connect-error.ts";
import { codes } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import type { InvokeResult } from "./events.ts";
import type { LambdaResponse } from "./response.ts";

/**
 * What an invocation fails with: `errorType` is the code, `errorMessage` the error as Connect writes it, `{"code", "message", "details"}`.
 * So the platform counts it as a failure, retries what was invoked asynchronously, and a state machine can catch it by its code.
 */
export class InvokeError extends Error {
  override readonly name: string;

  constructor(error: ConnectErrorJson) {
    super(JSON.stringify(error));
    this.name = error.code;
    // The platform would send it to the caller.
    this.stack = `${this.name}: ${this.message}`;
  }
}

/** Headers of the answer that are the protocol's. */
const OF_PROTOCOL = /^(?:content-.*|retry-after|vary|accept-.*|allow)$/;

/** The answer to an invocation. @throws InvokeError when it was an error. */
export function toInvoke(response: LambdaResponse): InvokeResult {
  const json = jsonOf(response);
  if (response.statusCode !== 200) {
    const { code } = Object(json) as ConnectErrorJson;
    if (Object.hasOwn(codes, code)) throw new InvokeError(json as ConnectErrorJson);
    throw new InvokeError(toConnectError(new ServiceError("unknown", `the answer has status ${response.statusCode}`)));
  }
  const own = [...response.passed()].filter(([name]) => !OF_PROTOCOL.test(name));
  const metadata = own.map(([name, values]) => [
    name.replace(/^trailer-/, ""),
    values.length === 1 ? values[0]! : values,
  ]);
  return { output: json, metadata: Object.fromEntries(metadata) as InvokeResult["metadata"] };
}

function jsonOf({ body }: LambdaResponse): unknown {
  try {
    return JSON.parse(body.toString("utf8")) as unknown;
  } catch {
    // An error in a form of the service's own (`hooks.encodeError`): the status has to do.
    return undefined;
  }
}
