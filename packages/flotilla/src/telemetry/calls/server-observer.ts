import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { Context } from "../../context/context.ts";
import type { FinishedCall } from "../../endpoint/finished-call.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { MethodObserver, ServerObserver } from "../../endpoint/observer.ts";
import type { ServerCall } from "../../metadata/call.ts";
import type { Observation } from "../../metadata/observation.ts";
import type { AttributeList } from "../model.ts";
import type { ActiveSpan, SpanStarter } from "../trace/active-span.ts";
import { readB3 } from "../trace/b3.ts";
import type { CallLog, CallMeter, LoggedCall, MethodLog, MethodMeter } from "./ports.ts";
import { isServersFault, nameOf, presetOf } from "./rpc-attributes.ts";

/** What calls are observed with; each may be left out. */
export interface CallInstruments {
  readonly starter: SpanStarter | undefined;
  readonly meter: CallMeter | undefined;
  readonly log: CallLog | undefined;
  /** Whether Zipkin's headers are read where W3C's are missing, and written beside them, and in which form. */
  readonly b3?: "single" | "multi" | undefined;
}

/** Observes the calls a host serves: a span, the RED metrics and one line each, from one reading of the clock at either end. */
export function serverObserver(instruments: CallInstruments): ServerObserver {
  return { method: (method) => new ServerMethod(method, instruments) };
}

class ServerMethod implements MethodObserver {
  readonly name: string;
  readonly starter: SpanStarter | undefined;
  readonly meter: MethodMeter | undefined;
  readonly log: MethodLog | undefined;
  readonly #b3: boolean;
  readonly #method: MethodInfo | undefined;
  readonly #presets = new Map<string, AttributeList>();

  constructor(method: MethodInfo | undefined, { starter, meter, log, b3 }: CallInstruments) {
    this.#b3 = b3 !== undefined;
    this.#method = method;
    this.name = nameOf(method);
    this.starter = starter;
    this.meter = meter?.method(method, "server");
    this.log = log?.method(method);
  }

  begin(call: ServerCall | undefined, ctx: Context, startedMs: number): Observation {
    const span = this.#start(call, startedMs);
    this.meter?.begin();
    return new ServerObservation(span, this.meter, this.log?.begin(call, ctx, span, startedMs), startedMs);
  }

  #start(call: ServerCall | undefined, startedMs: number): ActiveSpan | undefined {
    const { starter, name } = this;
    if (starter === undefined) return undefined;
    const preset = this.#preset(call?.protocol ?? "http");
    if (this.#b3 && call !== undefined && call.traceparent === undefined) {
      return starter.start(name, SpanKind.SERVER, readB3(call.headers), preset, startedMs);
    }
    return starter.startRemote(name, SpanKind.SERVER, call?.traceparent, call?.tracestate, preset, startedMs);
  }

  #preset(protocol: string): AttributeList {
    let preset = this.#presets.get(protocol);
    if (preset === undefined) {
      preset = presetOf(this.#method, protocol);
      this.#presets.set(protocol, preset);
    }
    return preset;
  }
}

/** One call that is served. */
export class ServerObservation implements Observation {
  readonly trace: ActiveSpan | undefined;
  readonly logged: LoggedCall | undefined;
  /** Attempts of calls that the handler made. */
  attempts = 0;
  readonly #meter: MethodMeter | undefined;
  readonly #startedMs: number;

  constructor(
    span: ActiveSpan | undefined,
    meter: MethodMeter | undefined,
    logged: LoggedCall | undefined,
    startedMs: number,
  ) {
    this.trace = span;
    this.logged = logged;
    this.#meter = meter;
    this.#startedMs = startedMs;
  }

  end(call: FinishedCall): void {
    const { code, durationMs, requestBytes, responseBytes } = call;
    const span = this.trace;
    this.#meter?.end(code, durationMs, requestBytes, responseBytes, span);
    this.logged?.end(call, this.attempts);
    if (span === undefined) return;
    if (span.isRecording()) describe(span, call);
    span.finish(this.#startedMs + durationMs);
  }
}

function describe(span: ActiveSpan, { code, status, error }: FinishedCall): void {
  span.setAttribute("rpc.response.status_code", code);
  if (status !== 0) span.setAttribute("http.response.status_code", status);
  if (error === undefined) return;
  span.setAttribute("error.type", code);
  if (!isServersFault(code)) return;
  span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  span.recordException(error.cause instanceof Error ? error.cause : error);
}
