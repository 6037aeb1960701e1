import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { Context } from "../../context/context.ts";
import { withValue } from "../../context/with.ts";
import type { Middleware } from "../../endpoint/endpoint.ts";
import { type Guard, guarded } from "../../endpoint/guard.ts";
import type { Instance } from "../../endpoint/instance.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { type OutgoingCall, outgoingCallKey } from "../../endpoint/observer.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { serverCall, withHeaders } from "../../metadata/call.ts";
import { currentTrace, withTrace } from "../../metadata/trace.ts";
import type { AttributeList } from "../model.ts";
import type { ActiveSpan } from "../trace/active-span.ts";
import { b3Headers, formatB3 } from "../trace/b3.ts";
import type { MethodMeter } from "./ports.ts";
import { nameOf, presetOf, whereOf } from "./rpc-attributes.ts";
import { type CallInstruments, ServerObservation } from "./server-observer.ts";

const NO_PRESET: AttributeList = [];

/**
 * Observes the calls a channel makes: a span and the RED metrics of each, a child span for every further attempt and every wait.
 * The first attempt is told by the call's own span, so that the usual call has one span a side.
 *
 * @param protocol - what carries the calls, in the words of `ServerCall.protocol`: `connect`, `memory`.
 */
export function clientObserver({ starter, meter, b3 }: Omit<CallInstruments, "log">, protocol: string): Middleware {
  return (next, method) => {
    const name = nameOf(method);
    const preset = presetOf(method, protocol);
    const bound = meter?.method(method, "client");
    const guard: Guard<ObservedCall> = {
      name: "observing",
      enter(call) {
        const { ctx, startedMs } = call;
        const span = starter?.start(name, SpanKind.CLIENT, currentTrace(ctx), preset, startedMs);
        bound?.begin();
        const observed = new ObservedCall(ctx, method, span, bound, startedMs);
        let inner = withValue(span === undefined ? ctx : withTrace(ctx, span), outgoingCallKey, observed);
        if (b3 !== undefined && span !== undefined) {
          inner = withHeaders(inner, b3 === "single" ? { b3: formatB3(span) } : b3Headers(span));
        }
        call.ctx = inner;
        return observed;
      },
      leave: ({ endedMs }, observed, error) => observed.end(error, endedMs),
    };
    return guarded(guard, next, method);
  };
}

class ObservedCall implements OutgoingCall {
  readonly #ctx: Context;
  readonly #method: MethodInfo;
  readonly #span: ActiveSpan | undefined;
  readonly #meter: MethodMeter | undefined;
  readonly #startedMs: number;
  #attempts = 0;
  /** Why the last attempt failed. */
  #failure: ServiceError | undefined;
  /** The span of a further attempt that runs. */
  #attempt: ActiveSpan | undefined;

  constructor(
    ctx: Context,
    method: MethodInfo,
    span: ActiveSpan | undefined,
    meter: MethodMeter | undefined,
    startedMs: number,
  ) {
    this.#ctx = ctx;
    this.#method = method;
    this.#span = span;
    this.#meter = meter;
    this.#startedMs = startedMs;
  }

  waits(what: string): (error?: unknown) => void {
    const span = this.#span?.isRecording()
      ? this.#span.starter.start(`wait for ${what}`, SpanKind.INTERNAL, this.#span, NO_PRESET)
      : undefined;
    return (error) => {
      if (span === undefined) return;
      if (error !== undefined) failed(span, ServiceError.from(error));
      span.finish();
    };
  }

  attempt(ctx: Context, instance: Instance): Context {
    this.#attempts++;
    const span = this.#span;
    if (span === undefined || !span.isRecording()) return ctx;
    if (this.#attempts === 1) {
      addInstance(span, instance);
      return ctx;
    }
    // The first attempt has no span of its own: how it ended is told when it was not the last.
    if (this.#attempts === 2 && this.#failure !== undefined) {
      const { code, message } = this.#failure;
      span.addEvent("attempt failed", { "rpc.response.status_code": code, "error.message": message });
    }
    const attempt = span.starter.start(`attempt ${nameOf(this.#method)}`, SpanKind.CLIENT, span, NO_PRESET);
    attempt.setAttribute("rpc.attempt", this.#attempts);
    addInstance(attempt, instance);
    this.#attempt = attempt;
    return withTrace(ctx, attempt);
  }

  attemptFailed(thrown: unknown): void {
    const span = this.#span;
    if (span === undefined || !span.isRecording()) return;
    const error = ServiceError.from(thrown);
    this.#failure = error;
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    this.#attempt = undefined;
    failed(attempt, error);
    attempt.finish();
  }

  /** Told of the end; `error` undefined for a success. */
  end(thrown: unknown, endedMs: number): void {
    const error = thrown === undefined ? undefined : ServiceError.from(thrown);
    const code = error?.code ?? "ok";
    const span = this.#span;
    this.#meter?.end(code, endedMs - this.#startedMs, 0, 0, span);
    // The handler that made this call tells in its line how often it had to ask.
    const observation = this.#attempts === 0 ? undefined : serverCall(this.#ctx)?.observation;
    if (observation instanceof ServerObservation) observation.attempts += this.#attempts;
    if (span === undefined) return;
    this.#attempt?.finish(endedMs);
    if (span.isRecording()) {
      span.setAttribute("rpc.response.status_code", code);
      if (this.#attempts > 1) span.setAttribute("rpc.attempts", this.#attempts);
      if (error !== undefined) failed(span, error);
    }
    span.finish(endedMs);
  }
}

function failed(span: ActiveSpan, error: ServiceError): void {
  span.setAttribute("error.type", error.code);
  span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
}

/** Host and port by instance: an address is parsed once. */
const hosts = new WeakMap<Instance, { readonly host: string; readonly port: number }>();

function addInstance(span: ActiveSpan, instance: Instance): void {
  let where = hosts.get(instance);
  if (where === undefined) {
    where = whereOf(instance.address);
    hosts.set(instance, where);
  }
  span.setAttribute("server.address", where.host);
  if (where.port > 0) span.setAttribute("server.port", where.port);
}
