export { type Baggage, baggage, formatBaggage, parseBaggage, withBaggage } from "./baggage.ts";
export { type ResponseObserver, type ServerCall, serverCall, withHeaders, withResponseObserver } from "./call.ts";
export { Metadata, type MetadataRecord } from "./metadata.ts";
export type { Observation } from "./observation.ts";
export { PRIORITY_HEADER, type Priority, priorityOf, withPriority } from "./priority.ts";
export { currentTrace, incomingTrace, isTraceparent, withTrace } from "./trace.ts";
export type { TraceHeaders } from "./trace-headers.ts";
