import { isReserved } from "../../codec/grpc-status.ts";
import { formatTimeout } from "../../codec/grpc-timeout.ts";
import { toRecord } from "../../codec/header-record.ts";
import type { Context } from "../../context/context.ts";
import { remainingMs } from "../../context/with.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { unreadableAnswer } from "../../endpoint/unreadable-answer.ts";
import { baggageHeader } from "../../metadata/baggage.ts";
import { outgoingHeaders } from "../../metadata/call.ts";
import type { Metadata, MetadataRecord } from "../../metadata/metadata.ts";
import { PRIORITY_HEADER, priorityHeader } from "../../metadata/priority.ts";
import { currentTrace } from "../../metadata/trace.ts";
import type { GrpcClientSettings } from "./client-options.ts";
import { ENCODINGS, jsonCodec, type MessageCodec, protoCodec } from "./codec.ts";

/** Whether a list of names and values may be given for headers, which spares node the objects: a tenth of what a call costs here. */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const takesLists = major > 24 || (major === 24 && minor >= 2);

/** What is known of a method before any call over one connection. */
export class ClientMethod {
  readonly info: MethodInfo;
  readonly input: MessageCodec;
  readonly output: MessageCodec;
  readonly #list: readonly string[];
  readonly #fixed: Readonly<MetadataRecord> | readonly string[];

  /** @param origin - `http://127.0.0.1:9090`. */
  constructor(info: MethodInfo, settings: GrpcClientSettings, origin: string) {
    this.info = info;
    const { protocol, host } = new URL(origin);
    const binary = settings.format === "proto" && info.input.binary !== undefined && info.output.binary !== undefined;
    this.input = binary ? protoCodec(info.input) : jsonCodec(info.input);
    this.output = blaming(binary ? protoCodec(info.output) : jsonCodec(info.output), info.procedure);
    const fixed = {
      ":method": "POST",
      ":scheme": protocol.slice(0, -1),
      ":authority": host,
      ":path": `/${info.procedure}`,
      "content-type": binary ? "application/grpc" : "application/grpc+json",
      te: "trailers",
      ...(settings.compress && { "grpc-encoding": "gzip", "grpc-accept-encoding": ENCODINGS }),
    };
    this.#list = Object.entries(fixed).flat();
    this.#fixed = takesLists ? this.#list : fixed;
  }

  /**
   * The headers of one call: those of the method, and what the context carries over the hop (remaining time, trace, baggage,
   * priority, headers set with `withHeaders`), as node:http2 likes them best. Not to be changed.
   *
   * @throws ServiceError the context's own, when it is done already: what is hopeless is not sent.
   */
  headers(ctx: Context): Readonly<MetadataRecord> | readonly string[] {
    const left = remainingMs(ctx);
    const { err } = ctx;
    if (err !== undefined) throw err;
    const trace = currentTrace(ctx);
    const members = baggageHeader(ctx);
    const priority = priorityHeader(ctx);
    const own = outgoingHeaders(ctx);
    if (left === Infinity && !trace && members === undefined && priority === undefined && own === undefined) {
      return this.#fixed;
    }
    const list = this.#list.slice();
    if (left !== Infinity) list.push("grpc-timeout", formatTimeout(left));
    if (trace !== undefined) {
      list.push("traceparent", trace.traceparent);
      if (trace.tracestate !== undefined) list.push("tracestate", trace.tracestate);
    }
    if (members !== undefined) list.push("baggage", members);
    if (priority !== undefined) list.push(PRIORITY_HEADER, priority);
    if (own !== undefined) addOwn(list, own);
    return takesLists ? list : toRecord(list);
  }
}

/** Adds headers set with `withHeaders`, but for those that are the call's own. */
function addOwn(list: string[], own: Metadata): void {
  const taken = new Set<string>();
  for (let i = 0; i < list.length; i += 2) taken.add(list[i]!);
  for (const [name, value] of own.entries()) if (!isReserved(name) && !taken.has(name)) list.push(name, value);
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
