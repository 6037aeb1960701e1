import type { Context } from "../context/context.ts";
import { type ContextKey, contextKey } from "../context/key.ts";
import { withValue } from "../context/with.ts";
import type { ServiceError } from "../errors/service-error.ts";
import { Metadata } from "./metadata.ts";
import type { Observation } from "./observation.ts";

/** What a transport knows about an incoming call. Read it in a handler or middleware with {@link serverCall}. */
export interface ServerCall {
  /** The request's headers. */
  readonly headers: Metadata;
  /** The header `traceparent` as it came, valid or not. */
  readonly traceparent: string | undefined;
  /** The header `tracestate` as it came; several are joined by commas. */
  readonly tracestate: string | undefined;
  /** When the call must be done, on the clock of its context; undefined when it has no deadline. */
  readonly deadline: number | undefined;
  /** What observes the call; undefined when nothing does. */
  readonly observation: Observation | undefined;
  /** Headers to send with the response; set them before the first message of a stream is sent. */
  readonly responseHeaders: Metadata;
  /** Trailers to send after the response. */
  readonly responseTrailers: Metadata;
  /** Who calls: the remote address, `host:port` where the transport has one. */
  readonly peer: string;
  /** Which transport carried the call: `connect`, `rest`, `memory`, ... */
  readonly protocol: string;
  /**
   * Ends the call without an answer, by breaking its connection, or of those that carry many calls its part; for faults that
   * are injected. Left out where the transport cannot.
   *
   * @param error - what the call has ended with, for telemetry.
   */
  cut?(error: ServiceError): void;
}

/** The key a transport puts the incoming call under. */
export const serverCallKey: ContextKey<ServerCall | undefined> = contextKey<ServerCall>("flotilla.serverCall");

/** The incoming call that this context belongs to; undefined outside of one. */
export function serverCall(ctx: Context): ServerCall | undefined {
  return ctx.value(serverCallKey);
}

/** Called on the client with what came back beside the message. `trailers` is empty until the call has ended. */
export type ResponseObserver = (headers: Metadata, trailers: Metadata) => void;

const outgoingKey = contextKey<Metadata>("flotilla.outgoing");
const observerKey = contextKey<ResponseObserver>("flotilla.responseObserver");

/** A child whose calls carry these headers besides those of the contexts above it. */
export function withHeaders(ctx: Context, headers: Readonly<Record<string, string>>): Context {
  const merged = new Metadata();
  const above = ctx.value(outgoingKey);
  if (above !== undefined) for (const [name, value] of above.entries()) merged.append(name, value);
  for (const [name, value] of Object.entries(headers)) merged.set(name, value);
  return withValue(ctx, outgoingKey, merged);
}

/** The headers that calls made under this context will carry; undefined when none were set. */
export function outgoingHeaders(ctx: Context): Metadata | undefined {
  // Not those of an outer incoming call: what a service sends on is said explicitly.
  return ctx.value(outgoingKey);
}

/** A child whose calls report the response's headers and trailers to `observer`, once a call. */
export function withResponseObserver(ctx: Context, observer: ResponseObserver): Context {
  return withValue(ctx, observerKey, observer);
}

/** The observer set by {@link withResponseObserver}, for transports. */
export function responseObserver(ctx: Context): ResponseObserver | undefined {
  return ctx.value(observerKey);
}
