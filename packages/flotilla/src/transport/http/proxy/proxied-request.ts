import type { CancelContext, Context } from "../../../context/context.ts";
import { requestContext } from "../../../context/request-context.ts";
import { withTimeout } from "../../../context/with.ts";
import type { BoundMethod } from "../../../endpoint/service.ts";
import type { ServiceError } from "../../../errors/service-error.ts";
import { type ServerCall, serverCallKey } from "../../../metadata/call.ts";
import { Metadata } from "../../../metadata/metadata.ts";
import type { Observation } from "../../../metadata/observation.ts";
import type { Request, Response } from "../http-message.ts";
import type { RequestHead } from "../request-head.ts";
import { peerOf } from "../server-call.ts";
import { codeOf } from "./answer.ts";
import type { ForwardedRequest } from "./exchange.ts";
import { attemptFields, type RequestFields } from "./request-headers.ts";
import type { ProxyState } from "./state.ts";

/** What is known of a request that is to be passed on. */
export interface Admitted {
  readonly method: BoundMethod;
  readonly head: RequestHead;
  readonly target: string;
  readonly authority: string | undefined;
  readonly hasBody: boolean;
  /** What came after a request that changes the protocol of its connection; undefined for one that does not. */
  readonly upgrading: Buffer | undefined;
  /** Whether the client waits to be told before it sends the body. */
  readonly expects: boolean;
  readonly fields: RequestFields;
  readonly timeoutMs: number;
}

/** A request as middlewares, telemetry and the way to the upstream see it: its context, and what is told of it when it is over. */
export abstract class ProxiedRequest implements ServerCall, ForwardedRequest {
  readonly protocol = "proxy";
  tried: Map<object, ServiceError> | undefined = undefined;
  stop: ((error: ServiceError) => void) | undefined = undefined;
  readonly observation: Observation | undefined;
  protected readonly state: ProxyState;
  protected readonly admitted: Admitted;
  protected readonly req: Request;
  protected readonly res: Response;
  /** Ends when the request does. */
  readonly lasting: CancelContext;
  /** The same, with the deadline. */
  protected readonly scope: Context;
  protected requestBytes = 0;
  protected responseBytes = 0;
  readonly #startedMs: number;
  #headers: Metadata | undefined;
  #headersOut: Metadata | undefined;
  #trailersOut: Metadata | undefined;

  constructor(state: ProxyState, admitted: Admitted, req: Request, res: Response) {
    this.state = state;
    this.admitted = admitted;
    this.req = req;
    this.res = res;
    const { timeoutMs } = admitted;
    this.lasting = requestContext<ServerCall | undefined>(state.root, Infinity, serverCallKey, this);
    this.scope = timeoutMs === Infinity ? this.lasting : withTimeout(this.lasting, timeoutMs);
    this.#startedMs = state.root.clock.now();
    this.observation = state.observers.get(admitted.method.info)?.begin(this, state.root, this.#startedMs);
    state.inFlight++;
  }

  abstract get committed(): boolean;
  abstract get sent(): boolean;
  abstract body(): AsyncIterable<Uint8Array>;
  abstract interim(status: number, raw: readonly string[]): void;

  get verb(): string {
    return this.req.method!;
  }

  get target(): string {
    return this.admitted.target;
  }

  get authority(): string | undefined {
    return this.admitted.authority;
  }

  get contentType(): string | undefined {
    return this.admitted.head.contentType;
  }

  get hasBody(): boolean {
    return this.admitted.hasBody;
  }

  get upgrade(): string | undefined {
    return this.admitted.upgrading === undefined ? undefined : "websocket";
  }

  fields(ctx: Context): string[] {
    return attemptFields(this.admitted.fields, ctx);
  }

  get headers(): Metadata {
    return (this.#headers ??= new Metadata(this.req.headers));
  }

  get traceparent(): string | undefined {
    return this.admitted.head.traceparent;
  }

  get tracestate(): string | undefined {
    return this.admitted.head.tracestate;
  }

  get deadline(): number | undefined {
    return this.scope.deadline;
  }

  get responseHeaders(): Metadata {
    return (this.#headersOut ??= new Metadata());
  }

  get responseTrailers(): Metadata {
    return (this.#trailersOut ??= new Metadata());
  }

  get peer(): string {
    return peerOf(this.req);
  }

  /** Headers that middlewares have added to the answer, names and values in turn. */
  protected headersOut(): string[] {
    return this.#headersOut === undefined ? [] : [...this.#headersOut.entries()].flat();
  }

  protected trailersOut(): string[] {
    return this.#trailersOut === undefined ? [] : [...this.#trailersOut.entries()].flat();
  }

  /** Lets go of the context, and tells how it ended. Called once. */
  protected settle(begun: boolean, error: ServiceError | undefined): void {
    const { state, res } = this;
    this.lasting.cancel();
    state.inFlight--;
    const status = begun || res.headersSent ? res.statusCode : 0;
    this.observation?.end({
      method: this.admitted.method.info,
      protocol: this.protocol,
      code: error?.code ?? codeOf(status),
      status,
      requestBytes: this.requestBytes,
      responseBytes: this.responseBytes,
      durationMs: state.root.clock.now() - this.#startedMs,
      error,
    });
    if (state.inFlight === 0) state.onIdle?.();
  }
}
