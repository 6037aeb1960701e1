export { findProtobufDetail, protobufDetail } from "./detail.ts";
export {
  fromProtobuf,
  type ProtobufContract,
  type ProtobufMethod,
  type ProtobufMethodOptions,
  type ProtobufMethods,
  type ProtobufOptions,
} from "./from-protobuf.ts";
