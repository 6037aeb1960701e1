import type { HttpProtocol } from "../../../endpoint/http-protocol.ts";
import { MountedJsonRpc } from "./mounted.ts";
import { type JsonRpcOptions, settle } from "./options.ts";

/**
 * Serves JSON-RPC 2.0 on the port of HTTP, at a path of its own: `http({ port: 8080, protocols: [jsonRpc()] })`. Unary methods
 * only; a method is called `package.Service.method` there unless `methodName` says otherwise, and `params` are its input.
 *
 * Source: https://www.jsonrpc.org/specification
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function jsonRpc(options: JsonRpcOptions = {}): HttpProtocol {
  const settings = settle(options);
  return { name: "jsonrpc", mount: (services, root, parts) => new MountedJsonRpc(settings, services, root, parts) };
}
