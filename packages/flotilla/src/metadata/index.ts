export { type Baggage, baggage, formatBaggage, parseBaggage, withBaggage } from "./baggage.ts";
export { type ResponseObserver, type ServerCall, serverCall, withHeaders, withResponseObserver } from "./call.ts";
export { Metadata, type MetadataRecord } from "./metadata.ts";
export { currentTrace, isTraceparent, type TraceHeaders, withTrace } from "./trace.ts";
