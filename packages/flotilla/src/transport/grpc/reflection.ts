import {
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Context } from "../../context/context.ts";
import { fromProtobuf } from "../../contract/protobuf/from-protobuf.ts";
import { ProtobufType } from "../../contract/protobuf/protobuf-type.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { BoundMethod, Service } from "../../endpoint/service.ts";
import { codes } from "../../errors/code.ts";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from "./gen/grpc/reflection/v1/reflection_pb.ts";

type Answer = MessageInitShape<typeof ServerReflectionResponseSchema>;
type Outcome = NonNullable<Answer["messageResponse"]>;

/** What older tools ask for: the same messages under another name. */
const ALPHA = "grpc.reflection.v1alpha.ServerReflection";

/**
 * Tells who asks what is served: the descriptors of contracts that come from protobuf, with all they import.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
 */
export class Reflection {
  /** Under the name of version 1, and that of its forerunner. */
  readonly services: readonly Service[];
  readonly #names: readonly string[];
  readonly #files = new Map<string, DescFile>();
  /** By the full name of what stands in it. */
  readonly #symbols = new Map<string, DescFile>();
  readonly #extensions = new Map<string, Map<number, DescFile>>();

  /** @param served - all that is served, gRPC's own services included. */
  constructor(served: readonly Service[]) {
    const described = new Set<DescService>([ServerReflection]);
    for (const { methods } of served) {
      const type = methods[0]?.info.input;
      if (type instanceof ProtobufType) described.add(type.service);
    }
    for (const { file } of described) this.#add(file);
    this.#names = Array.from(described, ({ typeName }) => typeName).toSorted();
    const [info] = fromProtobuf(ServerReflection).methods;
    this.services = [this.#serve(info!, ServerReflection.typeName), this.#serve(info!, ALPHA)];
  }

  #serve(info: MethodInfo, name: string): Service {
    const own: MethodInfo = { ...info, service: name, procedure: `${name}/${info.name}` };
    const method: BoundMethod = {
      info: own,
      endpoint: (ctx, requests) =>
        Promise.resolve(this.#answers(ctx, requests as AsyncIterable<ServerReflectionRequest>)),
    };
    return { name, methods: [method] };
  }

  async *#answers(_ctx: Context, requests: AsyncIterable<ServerReflectionRequest>): AsyncGenerator<Answer> {
    for await (const request of requests) {
      yield { validHost: request.host, originalRequest: request, messageResponse: this.#answer(request) };
    }
  }

  #answer({ messageRequest }: ServerReflectionRequest): Outcome {
    switch (messageRequest.case) {
      case "listServices":
        return { case: "listServicesResponse", value: { service: this.#names.map((name) => ({ name })) } };
      case "fileByFilename":
        return fileOf(this.#files.get(messageRequest.value), `no file is named ${quoted(messageRequest.value)}`);
      case "fileContainingSymbol":
        return fileOf(this.#symbols.get(messageRequest.value), `nothing is named ${quoted(messageRequest.value)}`);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = messageRequest.value;
        const file = this.#extensions.get(containingType)?.get(extensionNumber);
        return fileOf(file, `${quoted(containingType)} has no extension ${extensionNumber}`);
      }
      case "allExtensionNumbersOfType": {
        const name = messageRequest.value;
        if (!this.#symbols.has(name)) return failure("not_found", `nothing is named ${quoted(name)}`);
        const numbers = [...(this.#extensions.get(name)?.keys() ?? [])];
        return {
          case: "allExtensionNumbersResponse",
          value: { baseTypeName: name, extensionNumber: numbers.toSorted((a, b) => a - b) },
        };
      }
      default:
        return failure("invalid_argument", "the request asks for nothing that is known here");
    }
  }

  #add(file: DescFile): void {
    // As protoc names it; the descriptor's own name has no ending.
    const { name } = file.proto;
    if (this.#files.has(name)) return;
    this.#files.set(name, file);
    for (const one of file.services) {
      this.#symbols.set(one.typeName, file);
      for (const method of one.methods) this.#symbols.set(`${one.typeName}.${method.name}`, file);
    }
    for (const one of file.enums) this.#symbols.set(one.typeName, file);
    for (const one of file.messages) this.#addMessage(one, file);
    for (const one of file.extensions) this.#addExtension(one, file);
    for (const imported of file.dependencies) this.#add(imported);
  }

  #addMessage(message: DescMessage, file: DescFile): void {
    this.#symbols.set(message.typeName, file);
    for (const field of message.fields) this.#symbols.set(`${message.typeName}.${field.name}`, file);
    for (const one of message.nestedEnums) this.#symbols.set(one.typeName, file);
    for (const one of message.nestedMessages) this.#addMessage(one, file);
    for (const one of message.nestedExtensions) this.#addExtension(one, file);
  }

  #addExtension(extension: DescExtension, file: DescFile): void {
    this.#symbols.set(extension.typeName, file);
    const { typeName } = extension.extendee;
    let numbers = this.#extensions.get(typeName);
    if (numbers === undefined) this.#extensions.set(typeName, (numbers = new Map()));
    numbers.set(extension.number, file);
  }
}

/** Tools ask for the files it imports one by one. */
function fileOf(file: DescFile | undefined, missing: string): Outcome {
  if (file === undefined) return failure("not_found", missing);
  const bytes = toBinary(FileDescriptorProtoSchema, file.proto);
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: [bytes] } };
}

function failure(code: "not_found" | "invalid_argument", errorMessage: string): Outcome {
  return { case: "errorResponse", value: { errorCode: codes[code].grpc, errorMessage } };
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 256));
}
