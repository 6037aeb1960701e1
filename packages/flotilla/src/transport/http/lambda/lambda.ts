import { within } from "../../../clock/within.ts";
import { toConnectError } from "../../../codec/connect-error.ts";
import type { Context } from "../../../context/context.ts";
import { background, withValue } from "../../../context/with.ts";
import { chain } from "../../../endpoint/endpoint.ts";
import type { MethodKind } from "../../../endpoint/method-info.ts";
import { serverObserverKey } from "../../../endpoint/observer.ts";
import { errorReporterKey, reportError } from "../../../endpoint/report.ts";
import { wrapped } from "../../../endpoint/service.ts";
import { codes } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { Answering } from "../answering.ts";
import { errorForm } from "../error-form.ts";
import type {
  ApiGatewayEventV1,
  ApiGatewayEventV2,
  InvokeEvent,
  InvokeResult,
  LambdaContext,
  LambdaEvent,
  LambdaResult,
} from "./events.ts";
import { InvokeError, toInvoke } from "./invoke.ts";
import { type LambdaOptions, type LambdaSettings, settleLambda } from "./options.ts";
import { fromInvoke, fromV1, fromV2, LambdaRequest } from "./request.ts";
import { type Ending, LambdaResponse, toV1, toV2 } from "./response.ts";

/** What the platform calls. */
export type LambdaHandler = <Event extends LambdaEvent>(
  event: Event,
  context?: LambdaContext,
) => Promise<LambdaResult<Event>>;

/**
 * Serves services as a function of AWS Lambda: behind API Gateway (REST APIs, HTTP APIs with either payload format), at the function's
 * own URL, and for those who invoke it by itself with `{ method, input, metadata }`. Events go through the very same
 * handling as requests of `http`: the Connect protocol, REST routes, further protocols.
 *
 * ```ts
 * export const handler = lambda({ serve: [implement(Strings, strings)] });
 * ```
 *
 * The handler rejects only when the function was invoked by itself, with an error whose name is the code and whose message the
 * error as Connect writes it; when the answer to a request of HTTP was cut off; and for events of other kinds.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function lambda(options: LambdaOptions): LambdaHandler {
  const settings = settleLambda(options);
  const root = rootOf(settings);
  const around = chain(...settings.use);
  const services = settings.serve.map((service) => ({
    ...service,
    methods: service.methods.map((method) => wrapped(method, around)),
  }));
  const invocations = new Invocations(settings, new Answering(settings.http, services, root), root);
  return async function handler(event, context) {
    return (await invocations.handle(event, context)) as LambdaResult<typeof event>;
  };
}

function rootOf({ clock, telemetry, onError = telemetry?.onError }: LambdaSettings): Context {
  let root = background(clock);
  if (onError !== undefined) root = withValue(root, errorReporterKey, onError);
  if (telemetry === undefined) return root;
  root = withValue(root, serverObserverKey, telemetry.server);
  return telemetry.enter?.(root) ?? root;
}

class Invocations {
  readonly #settings: LambdaSettings;
  readonly #answering: Answering;
  readonly #root: Context;
  /** By procedure. */
  readonly #kinds: ReadonlyMap<string, MethodKind>;

  constructor(settings: LambdaSettings, answering: Answering, root: Context) {
    const methods = settings.serve.flatMap((service) => service.methods);
    this.#kinds = new Map(methods.map(({ info }) => [info.procedure, info.kind]));
    this.#settings = settings;
    this.#answering = answering;
    this.#root = root;
  }

  async handle(event: LambdaEvent, context: LambdaContext | undefined): Promise<unknown> {
    const { clock, marginMs } = this.#settings;
    const leftMs = context === undefined ? Infinity : context.getRemainingTimeInMillis() - marginMs;
    const endsAtMs = clock.now() + leftMs;
    try {
      return await this.#result(event, leftMs);
    } finally {
      await this.#flush(endsAtMs);
    }
  }

  async #result(event: LambdaEvent, leftMs: number): Promise<unknown> {
    const { basePath, http } = this.#settings;
    const plain = http.compressMinBytes === false;
    if (isV2(event)) return this.#http(new LambdaRequest(fromV2(event, basePath), leftMs, plain), leftMs, toV2);
    if (isV1(event)) return this.#http(new LambdaRequest(fromV1(event, basePath), leftMs, plain), leftMs, toV1);
    if (isInvoke(event)) return this.#invoke(event, leftMs);
    const keys = Object.keys(Object(event)).slice(0, 10).join(", ");
    throw new TypeError(
      `lambda: the event is neither a request of API Gateway or of a function URL, nor { method, input, metadata }: it has ${keys || "no keys"}`,
    );
  }

  async #http<Result>(
    request: LambdaRequest,
    leftMs: number,
    write: (response: LambdaResponse) => Result,
  ): Promise<Result> {
    let response = await this.#answer(request, leftMs);
    let result = write(response);
    if (this.#isTooLarge(response, result)) {
      response = this.#instead(request, this.#tooLarge());
      result = write(response);
    }
    return result;
  }

  async #invoke(event: InvokeEvent, leftMs: number): Promise<InvokeResult> {
    try {
      const kind = this.#kinds.get(event.method);
      if (kind !== "unary") {
        const why = kind === undefined ? "is not served" : "streams: only unary methods can be invoked";
        throw new ServiceError("unimplemented", `${event.method.slice(0, 256)} ${why}`);
      }
      const response = await this.#answer(new LambdaRequest(fromInvoke(event), leftMs, true), leftMs);
      const result = toInvoke(response);
      if (this.#isTooLarge(response, result)) throw this.#tooLarge();
      return result;
    } catch (error) {
      throw error instanceof ServiceError ? new InvokeError(toConnectError(error)) : error;
    }
  }

  /** Has the request answered, in time. @throws ServiceError `internal` when it was cut off. */
  async #answer(request: LambdaRequest, leftMs: number): Promise<LambdaResponse> {
    const response = new LambdaResponse(request, this.#settings.maxResponseBytes);
    // Writing to an answer that was given up is an error, and one that nobody hears would end the process.
    response.on("error", () => {});
    const ending = this.#ending(response, leftMs);
    this.#answering.serve(request.asRequest(), response.asResponse());
    const how = await ending;
    if (how === "complete") return response;
    if (how === "too large") return this.#instead(request, this.#tooLarge());
    if (how === "late") {
      const error = new ServiceError("deadline_exceeded", "the invocation is about to end without an answer");
      return this.#instead(request, error);
    }
    const what = `${request.method} ${request.url.slice(0, 256)}`;
    throw new ServiceError("internal", `lambda: the answer to ${what} was cut off`);
  }

  /** Calls end by their deadline; for what does not, there is half of the margin left. */
  #ending(response: LambdaResponse, leftMs: number): Promise<Ending | "late"> {
    if (leftMs === Infinity) return response.ended;
    return new Promise((resolve) => {
      const timer = this.#settings.clock.schedule(leftMs + this.#settings.marginMs / 2, () => {
        resolve("late");
        response.destroy();
      });
      void response.ended.then((how) => {
        timer.cancel();
        resolve(how);
      });
    });
  }

  /** What goes wrong here does not cost the answer, nor does what takes too long: there is a quarter of the margin left, then. */
  async #flush(endsAtMs: number): Promise<void> {
    const { clock, marginMs, flushTimeoutMs, telemetry, flush } = this.#settings;
    if (telemetry?.flush === undefined && flush === undefined) return;
    let why: ServiceError | undefined;
    const waitMs = Math.min(flushTimeoutMs, endsAtMs + 0.75 * marginMs - clock.now());
    const both = async (): Promise<unknown> => Promise.all([telemetry?.flush?.(waitMs), flush?.()]);
    const flushed = both().catch((cause: unknown) => {
      why = new ServiceError("internal", "lambda: flush failed", { cause });
    });
    const inTime = await within(clock, waitMs, flushed);
    if (!inTime)
      why = new ServiceError("internal", `lambda: flush took longer than the ${Math.round(waitMs)} ms it has`);
    if (why !== undefined) reportError(this.#root, why);
  }

  /** An error in the place of an answer that cannot be given. */
  #instead(request: LambdaRequest, error: ServiceError): LambdaResponse {
    const response = new LambdaResponse(request, Infinity);
    const status = error.code === "resource_exhausted" ? 500 : codes[error.code].http;
    const { "content-type": type, "connect-protocol-version": connect, origin } = request.asRequest().headers;
    const { status: sent, headers, body } = errorForm(type, connect !== undefined, error, status);
    this.#answering.state.cors?.mark(headers, origin);
    response.writeHead(sent, headers);
    response.end(body);
    return response;
  }

  #tooLarge(): ServiceError {
    const { maxResponseBytes } = this.#settings;
    const error = new ServiceError("resource_exhausted", `the answer is over the limit of ${maxResponseBytes} bytes`);
    reportError(this.#root, error);
    return error;
  }

  /** What JSON makes of it is six times as much at most: most need not be measured. */
  #isTooLarge({ body }: LambdaResponse, result: unknown): boolean {
    const { maxResponseBytes } = this.#settings;
    return body.byteLength * 6 > maxResponseBytes && Buffer.byteLength(JSON.stringify(result)) > maxResponseBytes;
  }
}

function isV2(event: LambdaEvent): event is ApiGatewayEventV2 {
  const { requestContext, rawPath } = Object(event) as Partial<ApiGatewayEventV2>;
  return typeof requestContext?.http?.method === "string" && typeof rawPath === "string";
}

function isV1(event: LambdaEvent): event is ApiGatewayEventV1 {
  const { httpMethod, path, requestContext } = Object(event) as Partial<ApiGatewayEventV1>;
  if (typeof httpMethod !== "string" || typeof path !== "string") return false;
  if (typeof requestContext !== "object" || requestContext === null) return false;
  // A load balancer's look alike, but their queries are encoded and their answers have other rules.
  return !("elb" in requestContext);
}

function isInvoke(event: LambdaEvent): event is InvokeEvent {
  return typeof (Object(event) as Partial<InvokeEvent>).method === "string";
}
