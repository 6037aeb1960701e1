import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Code } from "../../errors/code.ts";
import type { AttributeList } from "../model.ts";

/**
 * The attributes that all spans of a method have, by the RPC semantic conventions of OpenTelemetry (release candidate).
 *
 * @param protocol - as a transport calls itself.
 */
export function presetOf(method: MethodInfo | undefined, protocol: string): AttributeList {
  const system = systemOf(protocol);
  if (method === undefined) return ["rpc.system.name", system];
  const preset = ["rpc.system.name", system, "rpc.method", nameOf(method)];
  if (protocol === "rest" && method.rest !== undefined) {
    preset.push("http.request.method", method.rest.method, "http.route", method.rest.path);
  }
  return preset;
}

/** The name of a span and of `rpc.method`: `shop.v1.Shop/order`. */
export function nameOf(method: MethodInfo | undefined): string {
  return method === undefined ? "unknown method" : method.procedure;
}

/** `rpc.system.name`: the well-known value where the conventions have one, else, as they allow, the transport's own name. */
function systemOf(protocol: string): string {
  return protocol === "connect" || protocol === "http" ? "connectrpc" : protocol;
}

const SERVERS_FAULT: ReadonlySet<"ok" | Code> = new Set<Code>([
  "unknown",
  "deadline_exceeded",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
]);

/** Whether an outcome is an error of the server's span: what the caller did wrong is not (RPC semantic conventions, gRPC). */
export function isServersFault(code: "ok" | Code): boolean {
  return SERVERS_FAULT.has(code);
}

/** `server.address` and `server.port` of an address such as `http://10.0.0.7:8080`; the port is 0 when it names none. */
export function whereOf(address: string): { readonly host: string; readonly port: number } {
  const match = /^[a-z+]+:\/\/(\[[^\]]*\]|[^:/]*)(?::(\d+))?/i.exec(address);
  return { host: match?.[1]?.replace(/^\[|\]$/g, "") ?? address, port: Number(match?.[2] ?? 0) };
}
