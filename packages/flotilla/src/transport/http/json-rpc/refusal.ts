import { parseEncoding } from "../../../codec/compression.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { baseType } from "../connect-unary.ts";
import type { Request } from "../http-message.ts";
import { malformation } from "../malformation.ts";
import type { RequestHead } from "../request-head.ts";
import type { JsonRpcSettings } from "./options.ts";

/** How a request is answered that is none of JSON-RPC yet: the status of HTTP, the error, and headers to go with it. */
export type Refusal = readonly [status: number, error: ServiceError, headers?: string[]];

/** What is wrong with a request as far as its head tells. */
export function refusalOf(req: Request, head: RequestHead, settings: JsonRpcSettings): Refusal | undefined {
  const malformed = malformation(req, head);
  if (malformed !== undefined) {
    return [400, new ServiceError("invalid_argument", malformed), ["connection", "close"]];
  }
  if (req.method !== "POST") {
    const message = `${req.method} is not allowed at ${settings.path}: use POST`;
    return [405, new ServiceError("unimplemented", message), ["allow", "POST"]];
  }
  if (!isJson(head.contentType)) {
    const got = JSON.stringify(head.contentType?.slice(0, 64) ?? "");
    const error = new ServiceError("unimplemented", `content-type ${got} is not supported: send application/json`);
    return [415, error, ["accept-post", "application/json"]];
  }
  if (Number(head.contentLength ?? 0) > settings.maxBodyBytes) return tooLarge(settings.maxBodyBytes);
  try {
    parseEncoding(head.contentEncoding, "unimplemented");
  } catch (error) {
    return [415, ServiceError.from(error), ["accept-encoding", "br, gzip"]];
  }
  return undefined;
}

export function tooLarge(limit: number): Refusal {
  return [413, new ServiceError("resource_exhausted", `the request body is over the limit of ${limit} bytes`)];
}

/** RFC 8259: JSON is UTF-8. */
function isJson(type: string | undefined): boolean {
  if (type === "application/json") return true;
  if (baseType(type) !== "application/json") return false;
  const charset = /;\s*charset\s*=\s*"?([\w-]+)/i.exec(type!)?.[1]!.toLowerCase();
  return charset === undefined || charset === "utf-8" || charset === "utf8" || charset === "us-ascii";
}
