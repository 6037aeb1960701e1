import { type HttpClientOptions, type HttpClientSettings, settleClient } from "../client-options.ts";
import { checkPath, dotted, type MethodName } from "./options.ts";

/** Options of {@link jsonRpcClient}: where and how methods are called, and those of the connections of `httpClient`. */
export interface JsonRpcClientOptions extends Omit<HttpClientOptions, "format" | "get"> {
  /** Where requests are posted. Default `/rpc`. */
  readonly path?: string;
  /** Names for the methods in the place of `package.Service.method`, as the server knows them. */
  readonly methodName?: MethodName;
}

/** Options with every default filled in. */
export interface JsonRpcClientSettings {
  readonly path: string;
  readonly methodName: MethodName;
  readonly http: HttpClientSettings;
}

/** @throws TypeError naming the option that is not legal. */
export function settleJsonRpcClient(options: JsonRpcClientOptions): JsonRpcClientSettings {
  const { path = "/rpc", methodName = dotted, ...http } = options;
  checkPath("jsonRpcClient", path);
  return { path, methodName, http: settleClient(http, "jsonRpcClient") };
}
