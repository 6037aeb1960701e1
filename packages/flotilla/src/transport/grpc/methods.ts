import type { BoundMethod, Service } from "../../endpoint/service.ts";
import { type MetadataRecord, newRecord } from "../../metadata/metadata.ts";
import { jsonCodec, type MessageCodec, protoCodec } from "./codec.ts";

/** How a method's messages are read and written under one content type. */
export interface Form {
  readonly method: BoundMethod;
  readonly input: MessageCodec;
  readonly output: MessageCodec;
  /** The headers of an answer that says no more. */
  readonly head: MetadataRecord;
}

/** A method with its forms. Contracts that are no protobuf have only JSON. */
export interface ServedMethod {
  readonly method: BoundMethod;
  readonly proto: Form | undefined;
  readonly json: Form;
}

/** Methods by path: `/calc.v1.Calculator/sum`. @throws TypeError when a name is served twice. */
export function servedMethods(services: readonly Service[]): ReadonlyMap<string, ServedMethod> {
  const methods = new Map<string, ServedMethod>();
  for (const service of services) {
    for (const method of service.methods) {
      const { input, output, procedure } = method.info;
      const path = `/${procedure}`;
      if (methods.has(path)) throw new TypeError(`grpc: ${procedure} is served twice`);
      const proto =
        input.binary === undefined || output.binary === undefined
          ? undefined
          : { method, input: protoCodec(input), output: protoCodec(output), head: head("application/grpc") };
      const json = { method, input: jsonCodec(input), output: jsonCodec(output), head: head("application/grpc+json") };
      methods.set(path, { method, proto, json });
    }
  }
  return methods;
}

function head(contentType: string): MetadataRecord {
  return Object.freeze(Object.assign(newRecord(), { ":status": "200", "content-type": contentType }));
}

/** The form that goes with the part of a content type behind `application/grpc`: `""`, `+proto`, `+json`, parameters aside. */
export function formOf(served: ServedMethod, suffix: string): Form | undefined {
  if (suffix === "" || suffix === "+proto") return served.proto;
  if (suffix === "+json") return served.json;
  const mark = suffix.indexOf(";");
  return mark < 0 ? undefined : formOf(served, suffix.slice(0, mark).trimEnd());
}
