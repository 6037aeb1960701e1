export { type ConnectErrorJson, fromConnectError, toConnectError } from "../codec/connect-error.ts";
export { newRecord } from "../metadata/metadata.ts";
export { Calling, type Way } from "./calling.ts";
export { callHeaders, JSON_TYPE, ParsedMessage, PROTO_TYPE, type Wire } from "./message.ts";
export { isHopeless, isRefusal } from "./one-way.ts";
export { settleWire, type WireOptions, type WireSettings } from "./options.ts";
export { Pipe } from "./pipe.ts";
export type { Accepted, Acceptor, Caller } from "./served-call.ts";
export { Serving } from "./serving.ts";
