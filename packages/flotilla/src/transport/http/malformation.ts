import type { Request } from "./http-message.ts";
import type { RequestHead } from "./request-head.ts";

/**
 * What Node's parser lets through and no server should answer: each is a way to make two servers on the path see two different
 * requests (RFC 9112, sections 3.2 and 6.1).
 */
export function malformation(req: Request, head: RequestHead): string | undefined {
  if (req.httpVersionMajor === 1) {
    if (req.httpVersionMinor === 0 && head.transferEncoding !== undefined) {
      return "an HTTP/1.0 request cannot have header transfer-encoding";
    }
    if (head.hosts > 1) return "header host stands more than once";
    return undefined;
  }
  return req.httpVersionMajor < 1 ? "the request line has no HTTP version" : undefined;
}
