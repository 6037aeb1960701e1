export { jsonRpcClient } from "./client.ts";
export type { JsonRpcClientOptions } from "./client-options.ts";
export { FOREIGN_ERROR } from "./errors.ts";
export type { JsonRpcOptions, MethodName } from "./options.ts";
export { jsonRpc } from "./server.ts";
