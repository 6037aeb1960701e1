export { Changes } from "./changes.ts";
export { chain, type Endpoint, type Middleware, policiesOf, withPolicies } from "./endpoint.ts";
export type { FinishedCall } from "./finished-call.ts";
export type { HttpListenerParts, HttpProtocol, MountedProtocol } from "./http-protocol.ts";
export type { Instance } from "./instance.ts";
export type { LoadReport } from "./load-report.ts";
export type { JsonSchema, MessageType, Validated } from "./message-type.ts";
export type { MethodInfo, MethodKind, RestRoute } from "./method-info.ts";
export {
  type MethodObserver,
  type OutgoingCall,
  observersOf,
  outgoingCallKey,
  type ServerObserver,
  serverObserverKey,
} from "./observer.ts";
export type { Measure, Policy, PolicyAttributes, PolicyChange, PolicyMetric } from "./policy.ts";
export { type ErrorReporter, errorReporterKey, reportError } from "./report.ts";
export type { BoundMethod, Service, ServingMiddleware } from "./service.ts";
export type { StateReport } from "./state-report.ts";
export { isStream, observeCall, observeStream } from "./stream.ts";
export type { AdminRequest, AdminResponse, AdminRoute, TelemetryPort } from "./telemetry-port.ts";
export type { Connection, Connector, Listener, Listening } from "./transport.ts";
