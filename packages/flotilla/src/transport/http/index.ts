export { httpClient } from "./client.ts";
export type { HttpClientOptions } from "./client-options.ts";
export type { CorsOptions, ErrorResponse, HttpServerHooks, HttpServerOptions } from "./options.ts";
export { http } from "./server.ts";
