export {
  type Caller,
  type Client,
  type Contract,
  contract,
  type Handler,
  type Implementation,
  type Methods,
  type ReplyOf,
  type RequestOf,
} from "./contract.ts";
export {
  bidiStream,
  clientStream,
  type MethodOptions,
  type MethodSpec,
  type StreamOptions,
  serverStream,
  type UnaryOptions,
  unary,
} from "./method.ts";
export type { RestOptions } from "./rest-route.ts";
export type { InputOf, OutputOf, Schema, SchemaIssue, SchemaResult } from "./schema.ts";
