import type { Endpoint } from "../../../endpoint/endpoint.ts";
import type { Code } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import {
  AnswerEnd,
  type AnswerPart,
  type ForwardedRequest,
  HeldAnswer,
  type OpenAnswer,
  type OpenExchange,
  Switched,
} from "./exchange.ts";
import { broken, failureOf, final } from "./upstream-errors.ts";

/** An answer that tells of no service (502, 503, 504) is held back up to so many bytes, for another instance may do better. */
const MAX_HELD_BYTES = 64 * 1024;

/** What is no fault of the connection: time ran out, the client went away, or has sent what cannot be passed on. */
const OWN: ReadonlySet<Code> = new Set<Code>(["canceled", "deadline_exceeded", "invalid_argument", "unimplemented"]);

/**
 * The endpoint that sends requests over one connection, for all verbs: `(ctx, ForwardedRequest) => stream of AnswerPart`.
 *
 * @param connection - what no request is sent over twice.
 */
export function forwarding(connection: object, address: string, open: OpenExchange): Endpoint {
  const settle = (request: ForwardedRequest, error: ServiceError): ServiceError => {
    const mayBeDone = request.sent && error.retry?.unprocessed !== true;
    const outcome = request.committed || mayBeDone ? final(error) : error;
    request.tried ??= new Map();
    request.tried.set(connection, outcome);
    return outcome;
  };
  const fail = (request: ForwardedRequest, thrown: unknown): ServiceError => {
    const error = ServiceError.from(thrown);
    return settle(request, OWN.has(error.code) ? error : broken(error.message, error.cause, error.retry, error.code));
  };
  return async function forward(ctx, input) {
    const request = input as ForwardedRequest;
    const before = request.tried?.get(connection);
    if (before !== undefined) throw final(before);
    if (ctx.err !== undefined) throw ctx.err;
    let answer: OpenAnswer;
    let told: { readonly retryAfter: string | undefined };
    try {
      answer = await open(ctx, request);
      told = inspect(answer, address, request);
    } catch (error) {
      const outcome = fail(request, error);
      // An answer that nobody wants is not waited for.
      request.stop?.(outcome);
      throw outcome;
    }
    const failure = failureOf(address, answer.head.status, told.retryAfter);
    const parts = read(answer, failure, request, fail);
    if (failure?.code !== "unavailable") return parts;
    const held = await hold(parts);
    if (!(held instanceof HeldAnswer)) return held;
    const { code, message, retry } = failure;
    const error = new ServiceError(code, message, { cause: held, ...(retry !== undefined && { retry }) });
    throw settle(request, error);
  };
}

/** @throws ServiceError when the answer is one of which nobody can be sure where it ends. */
function inspect(
  { head: { status, raw }, socket }: OpenAnswer,
  address: string,
  { upgrade }: ForwardedRequest,
): { readonly retryAfter: string | undefined } {
  if (status > 599) throw broken(`${address} sent the status ${status}, which is none`);
  let length: string | undefined;
  let retryAfter: string | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    if (name.length === 14 && name.toLowerCase() === "content-length") {
      if (!/^\d+$/.test(value) || (length !== undefined && length !== value)) {
        throw broken(`${address} sent a content-length that is none: ${value.slice(0, 64)}`);
      }
      length = value;
    } else if (name.length === 17 && name.toLowerCase() === "transfer-encoding" && value.toLowerCase() !== "chunked") {
      throw broken(`${address} sent the transfer-encoding ${value.slice(0, 64)}, which nobody asked for`);
    } else if (socket !== undefined && name.toLowerCase() === "upgrade" && value.toLowerCase() !== upgrade) {
      throw broken(`${address} changes to the protocol ${value.slice(0, 64)}, which nobody asked for`);
    } else if (name.length === 11 && name.toLowerCase() === "retry-after") retryAfter = value;
  }
  return { retryAfter };
}

async function* read(
  answer: OpenAnswer,
  failure: ServiceError | undefined,
  request: ForwardedRequest,
  fail: (request: ForwardedRequest, thrown: unknown) => ServiceError,
): AsyncGenerator<AnswerPart> {
  yield answer.head;
  const { socket } = answer;
  if (socket !== undefined) {
    try {
      yield new Switched(socket);
      if (!socket.destroyed) await new Promise((resolve) => socket.once("close", resolve));
    } finally {
      socket.destroy();
    }
    return;
  }
  try {
    yield* answer.body;
  } catch (error) {
    throw fail(request, error);
  }
  yield new AnswerEnd(answer.trailers());
  if (failure !== undefined) throw failure;
}

/** Reads an answer that is a failure: to its end if it is short, else so far that the rest can be passed on as it comes. */
async function hold(parts: AsyncGenerator<AnswerPart>): Promise<HeldAnswer | AsyncIterable<AnswerPart>> {
  const held: AnswerPart[] = [];
  let bytes = 0;
  for (;;) {
    const { value } = (await parts.next()) as IteratorYieldResult<AnswerPart>;
    held.push(value);
    if (value instanceof AnswerEnd) break;
    if (value instanceof Uint8Array && (bytes += value.byteLength) > MAX_HELD_BYTES) return resumed(held, parts);
  }
  // Nothing is left to be read but the failure.
  await parts.return(undefined);
  return new HeldAnswer(held);
}

async function* resumed(held: readonly AnswerPart[], rest: AsyncGenerator<AnswerPart>): AsyncGenerator<AnswerPart> {
  try {
    yield* held;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}
