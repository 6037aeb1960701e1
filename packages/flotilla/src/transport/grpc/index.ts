export { grpcClient } from "./client.ts";
export type { GrpcClientOptions } from "./client-options.ts";
export type { GrpcProtocolOptions, GrpcServerOptions, KeepaliveOptions } from "./options.ts";
export { grpc } from "./server.ts";
