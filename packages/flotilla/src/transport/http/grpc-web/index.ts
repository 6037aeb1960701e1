export { grpcWebClient } from "./client.ts";
export type { GrpcWebClientOptions } from "./options.ts";
