import type { MetadataRecord } from "../../metadata/metadata.ts";
import type { Request } from "./http-message.ts";
import { endsConnection } from "./linger.ts";

/**
 * What a server that is about to go says with each answer over HTTP/1.1: the connection closes, and (`drain`) others should be called,
 * since it will soon take no further one. An option of the connection, so that proxies keep it to themselves (RFC 9110, section 7.6.1).
 */
export const GOING = ["connection", "close, drain"] as const;

/** Adds what an answer has to say of its connection: that the server goes, or that the rest of the request may take longer than is waited for it. */
export function addLastWords(
  headers: string[],
  { discouraging }: { readonly discouraging: boolean },
  req: Request,
): void {
  if (discouraging && req.httpVersionMajor === 1) headers.push(...GOING);
  else if (endsConnection(req)) headers.push("connection", "close");
}

/** Whether an answer says so. */
export function isGoing({ connection }: MetadataRecord): boolean {
  return typeof connection === "string" && connection.endsWith("drain");
}
