import type { MetadataRecord } from "../../metadata/metadata.ts";

/**
 * What a server that is about to go says with each answer over HTTP/1.1: the connection closes, and (`drain`) others should be called,
 * since it will soon take no further one. An option of the connection, so that proxies keep it to themselves (RFC 9110, section 7.6.1).
 */
export const GOING = ["connection", "close, drain"] as const;

/** Whether an answer says so. */
export function isGoing({ connection }: MetadataRecord): boolean {
  return typeof connection === "string" && connection.endsWith("drain");
}
