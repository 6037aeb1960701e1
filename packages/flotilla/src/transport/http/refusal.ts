import { toConnectError } from "../../codec/connect-error.ts";
import type { FinishedCall } from "../../endpoint/finished-call.ts";
import { reportError } from "../../endpoint/report.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { addLastWords } from "./going.ts";
import type { Request, Response } from "./http-message.ts";
import { linger } from "./linger.ts";
import type { RequestHead } from "./request-head.ts";
import { problemJson } from "./rest-call.ts";
import type { ServerState } from "./server-call.ts";

/** Answers a request that no call was made of: in the form of Connect to who speaks it, else as problem+json. */
export function refuse(
  state: ServerState,
  req: Request,
  res: Response,
  head: RequestHead,
  status: number,
  error: ServiceError,
  extra: readonly string[] = [],
): void {
  // Only HTTP/2's request insists on being heard.
  req.on("error", () => {});
  const connect = head.protocolVersion !== undefined || head.contentType?.startsWith("application/connect+") === true;
  const body = connect
    ? JSON.stringify(toConnectError(error))
    : problemJson(status === 404 ? new ServiceError("not_found", error.message) : error, status);
  const responseBytes = Buffer.byteLength(body);
  const headers = ["content-type", connect ? "application/json" : "application/problem+json"];
  headers.push("content-length", String(responseBytes), ...extra);
  if (!extra.includes("connection")) addLastWords(headers, state, req);
  state.cors?.mark(headers, head.origin);
  res.writeHead(status, headers);
  res.end(body);
  if (!req.readableEnded) linger(req, state.root.clock);
  const call: FinishedCall = {
    method: undefined,
    protocol: connect ? "connect" : "rest",
    code: error.code,
    status,
    requestBytes: 0,
    responseBytes,
    durationMs: 0,
    error,
  };
  state.observers.get(undefined)?.begin(undefined, state.root, state.root.clock.now()).end(call);
  try {
    state.settings.hooks.finalize?.(state.root, call);
  } catch (failure) {
    reportError(state.root, ServiceError.from(failure));
  }
}
