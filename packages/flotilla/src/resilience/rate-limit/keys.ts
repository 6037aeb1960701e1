import { hash } from "node:crypto";
import type { Context } from "../../context/context.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { serverCall } from "../../metadata/call.ts";

/**
 * Whose units a call takes: any text. Undefined: the call is not limited. Told the context and the method, so that it can be
 * anything that a middleware further out has put there: a principal, a tenant, the instance.
 */
export type RateLimitKey = (ctx: Context, method: MethodInfo) => string | undefined;

/** Longer keys are replaced by their digest. */
const MAX_KEY_CHARS = 128;

/** A key of bounded length: what a caller sends must not decide how much is kept. */
export function boundedKey(key: string): string {
  return key.length <= MAX_KEY_CHARS ? key : `sha256:${hash("sha256", key, "base64url")}`;
}

/**
 * A key for each address that calls: of IPv6 the first 64 bits, since whoever has one such address has all of them. The same for all
 * that call through one proxy; there, use a header that the proxy sets. Outside of an incoming call: one for all.
 */
export function byPeer(): RateLimitKey {
  return function peerKey(ctx) {
    const peer = serverCall(ctx)?.peer;
    return peer === undefined ? "" : hostOf(peer);
  };
}

/**
 * A key for each value of a request header; one for all calls without it. Values of more than 128 characters are kept as their digest.
 *
 * Anybody can send a header: who changes its value with each call is not limited by this. Use it for what something further out
 * has verified or set (an API key, a tenant, the address as a trusted proxy saw it).
 *
 * @param name - of the header, in any case.
 * @throws TypeError when the name is empty.
 */
export function byHeader(name: string): RateLimitKey {
  if (name === "") throw new TypeError("byHeader: name must not be empty");
  const lower = name.toLowerCase();
  return function headerKey(ctx) {
    return serverCall(ctx)?.headers.get(lower) ?? "";
  };
}

/** The host of `host:port`, without what one caller can choose of it. */
function hostOf(peer: string): string {
  const colon = peer.lastIndexOf(":");
  if (!peer.startsWith("[")) return colon === -1 ? peer : peer.slice(0, colon);
  const address = peer.slice(1, peer.lastIndexOf("]"));
  // IPv4 on a socket that takes both.
  if (address.startsWith("::ffff:") && address.includes(".")) return address.slice("::ffff:".length);
  return `${prefixOf(address)}/64`;
}

/** The first four groups of an IPv6 address. */
function prefixOf(address: string): string {
  const [head = "", tail] = address.split("%")[0]!.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const last = tail === "" ? [] : tail.split(":");
    while (groups.length + last.length < 8) groups.push("0");
    groups.push(...last);
  }
  return groups.slice(0, 4).join(":");
}
