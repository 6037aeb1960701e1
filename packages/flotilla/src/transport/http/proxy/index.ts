export type { ProxyOptions } from "./options.ts";
export { proxy } from "./proxy.ts";
export { type ProxyClientOptions, proxyClient } from "./proxy-client.ts";
