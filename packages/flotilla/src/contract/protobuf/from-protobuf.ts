import {
  create,
  createRegistry,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
  type Message,
  type MessageInitShape,
  type MessageShape,
  type Registry,
} from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { MethodKind } from "../../endpoint/method-info.ts";
import { type Contract, contract } from "../contract.ts";
import type { MethodOptions, MethodSpec } from "../method.ts";
import type { RestOptions } from "../rest-route.ts";
import { type JsonOptions, ProtobufType } from "./protobuf-type.ts";

/** The contract of a protobuf service: a method for each rpc, under its name in lower camel case. */
export type ProtobufContract<S extends DescService> = Contract<ProtobufMethods<S>>;

/** The methods of a protobuf service. */
export type ProtobufMethods<S extends DescService> = {
  readonly [K in keyof S["method"]]: ProtobufMethod<S["method"][K]>;
};

/**
 * One rpc. Clients pass, and handlers return, what initialises a message; what they get is a message.
 */
export type ProtobufMethod<M extends DescMethod> = MethodSpec<
  Kinds[M["methodKind"]],
  MessageInitShape<M["input"]>,
  MessageShape<M["input"]>,
  MessageShape<M["output"]>,
  MessageInitShape<M["output"]>
>;

interface Kinds {
  unary: "unary";
  server_streaming: "server_stream";
  client_streaming: "client_stream";
  bidi_streaming: "bidi_stream";
}

const kinds: Readonly<Record<DescMethod["methodKind"], MethodKind>> = {
  unary: "unary",
  server_streaming: "server_stream",
  client_streaming: "client_stream",
  bidi_streaming: "bidi_stream",
} satisfies Kinds;

/** Options of one rpc: what the protobuf definition cannot say, or what overrules it. */
export type ProtobufMethodOptions<M extends DescMethod> = M["methodKind"] extends "unary"
  ? MethodOptions<MessageShape<M["output"]>> & {
      /** A REST route beside the Connect path. Path and query name fields by their JSON names. */
      readonly rest?: RestOptions;
    }
  : Omit<MethodOptions<MessageShape<M["output"]>>, "failed">;

/** Options of {@link fromProtobuf}. */
export interface ProtobufOptions<S extends DescService> {
  /** What the service does, in Markdown. Default none: protobuf descriptors hold no comments. */
  readonly doc?: string;
  /** Options by method. `idempotent` and `safe` default to what the rpc's `idempotency_level` says. */
  readonly methods?: { readonly [K in keyof S["method"]]?: ProtobufMethodOptions<S["method"][K]> };
  /**
   * The types that a google.protobuf.Any, or an extension, may hold in JSON. Default: all in the service's file and the files it
   * imports.
   */
  readonly registry?: Registry;
  /** Whether JSON holds fields that have their default value. Default false, as ProtoJSON prescribes. */
  readonly emitDefaults?: boolean;
}

/**
 * The contract of a protobuf service, from the descriptor that protoc-gen-es generates (or from any other `DescService`).
 * JSON in requests may have fields that are not known: they are ignored, as Connect's own servers do.
 *
 * ```ts
 * import { Echo } from "./gen/test/v1/echo_pb.ts";
 *
 * export const EchoContract = fromProtobuf(Echo, { methods: { say: { timeoutMs: 500 } } });
 * class EchoService implements Implementation<typeof EchoContract> { … }
 * ```
 *
 * @throws TypeError when an option is not legal, or names a method that the service does not have.
 */
export function fromProtobuf<S extends DescService>(service: S, options: ProtobufOptions<S> = {}): ProtobufContract<S> {
  const given = (options.methods ?? {}) as Readonly<Record<string, ProtobufMethodOptions<DescMethod> | undefined>>;
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(service.method, key)) {
      const known = Object.keys(service.method).join(", ");
      throw new TypeError(`fromProtobuf: ${service.typeName} has no method "${key}": it has ${known}`);
    }
  }
  let json: JsonOptions | undefined;
  const jsonOptions = (): JsonOptions => {
    json ??= {
      ignoreUnknownFields: true,
      alwaysEmitImplicit: options.emitDefaults ?? false,
      registry: options.registry ?? createRegistry(...filesOf(service.file)),
    };
    return json;
  };
  const methods = Object.fromEntries(
    Object.entries(service.method).map(([key, method]) => [key, methodSpec(method, given[key] ?? {}, jsonOptions)]),
  );
  return contract(
    service.typeName,
    methods,
    options.doc === undefined ? {} : { doc: options.doc },
  ) as ProtobufContract<S>;
}

function methodSpec(method: DescMethod, given: ProtobufMethodOptions<DescMethod>, json: () => JsonOptions): MethodSpec {
  const { failed, rest } = given as UnaryOptions;
  const noSideEffects =
    method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS && given.idempotent !== false;
  const options: UnaryOptions = {
    ...(method.idempotency !== MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN && { idempotent: true }),
    // Connect calls with GET only what is declared to have no side effects; a REST route declares it by its verb.
    ...((noSideEffects || rest === undefined) && { safe: noSideEffects }),
    ...given,
    // A handler may answer with what initialises a message.
    ...(failed !== undefined && {
      failed: (response: Message) => failed(create(method.output, response as MessageInitShape<DescMessage>)),
    }),
  };
  return {
    kind: kinds[method.methodKind],
    input: new ProtobufType(method.input, method.parent, json),
    output: new ProtobufType(method.output, method.parent, json),
    wireName: method.name,
    options: options,
  };
}

type UnaryOptions = MethodOptions<Message> & { readonly rest?: RestOptions };

/** A file and all that it imports, each once. */
function filesOf(file: DescFile, files: Set<DescFile> = new Set()): Set<DescFile> {
  if (files.has(file)) return files;
  files.add(file);
  for (const imported of file.dependencies) filesOf(imported, files);
  return files;
}
