import { formatTimeout } from "../../codec/grpc-timeout.ts";
import type { Context } from "../../context/context.ts";
import { remainingMs } from "../../context/with.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { unreadableAnswer } from "../../endpoint/unreadable-answer.ts";
import { baggageHeader } from "../../metadata/baggage.ts";
import { outgoingHeaders } from "../../metadata/call.ts";
import { PRIORITY_HEADER, priorityHeader } from "../../metadata/priority.ts";
import { currentTrace } from "../../metadata/trace.ts";
import type { GrpcClientSettings } from "./client-options.ts";
import { ENCODINGS, jsonCodec, type MessageCodec, protoCodec } from "./codec.ts";
import { isReserved } from "./status.ts";

type Headers = Record<string, string | string[]>;

/** What is known of a method before any call over one connection. */
export class ClientMethod {
  readonly info: MethodInfo;
  readonly input: MessageCodec;
  readonly output: MessageCodec;
  readonly #fixed: Readonly<Record<string, string>>;

  /** @param origin - `http://127.0.0.1:9090`. */
  constructor(info: MethodInfo, settings: GrpcClientSettings, origin: string) {
    this.info = info;
    const { protocol, host } = new URL(origin);
    const binary = settings.format === "proto" && info.input.binary !== undefined && info.output.binary !== undefined;
    this.input = binary ? protoCodec(info.input) : jsonCodec(info.input);
    this.output = blaming(binary ? protoCodec(info.output) : jsonCodec(info.output), info.procedure);
    this.#fixed = {
      ":method": "POST",
      ":scheme": protocol.slice(0, -1),
      ":authority": host,
      ":path": `/${info.procedure}`,
      "content-type": binary ? "application/grpc" : "application/grpc+json",
      te: "trailers",
      ...(settings.compress && { "grpc-encoding": "gzip", "grpc-accept-encoding": ENCODINGS }),
    };
  }

  /**
   * The headers of one call: those of the method, and what the context carries over the hop (remaining time, trace, baggage,
   * priority, headers set with `withHeaders`). Not to be changed.
   *
   * @throws ServiceError the context's own, when it is done already: what is hopeless is not sent.
   */
  headers(ctx: Context): Readonly<Headers> {
    const left = remainingMs(ctx);
    const { err } = ctx;
    if (err !== undefined) throw err;
    const trace = currentTrace(ctx);
    const members = baggageHeader(ctx);
    const priority = priorityHeader(ctx);
    const own = outgoingHeaders(ctx);
    const plain = trace === undefined && members === undefined && priority === undefined && own === undefined;
    if (plain && left === Infinity) return this.#fixed;
    const headers: Headers = { ...this.#fixed };
    if (left !== Infinity) headers["grpc-timeout"] = formatTimeout(left);
    if (plain) return headers;
    if (own !== undefined) {
      for (const [name, value] of own.entries()) {
        if (isReserved(name)) continue;
        const present = headers[name];
        if (present === undefined) headers[name] = value;
        else headers[name] = Array.isArray(present) ? [...present, value] : [present, value];
      }
    }
    if (trace !== undefined) {
      headers["traceparent"] = trace.traceparent;
      if (trace.tracestate !== undefined) headers["tracestate"] = trace.tracestate;
    }
    if (members !== undefined) headers["baggage"] = members;
    if (priority !== undefined) headers[PRIORITY_HEADER] = priority;
    return headers;
  }
}

function blaming(codec: MessageCodec, procedure: string): MessageCodec {
  return {
    frame: codec.frame,
    decode(data) {
      try {
        return codec.decode(data);
      } catch (error) {
        throw unreadableAnswer(procedure, error);
      }
    },
  };
}
