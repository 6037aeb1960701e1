// The reference implementation for Node, @grpc/grpc-js, as client and as server of the cases.
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type CallOptions,
  Client,
  type ClientUnaryCall,
  credentials,
  type ServiceError as GrpcJsError,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import {
  type SimpleRequest,
  type StreamingInputCallRequest,
  type StreamingOutputCallRequest,
  TestService,
  UnimplementedService,
} from "../../../../test/gen/grpc/testing/test_pb.ts";
import { systemClock } from "../../../clock/system-clock.ts";
import { type Beside, CallFailed, type InteropClient, telling } from "./interop-cases.ts";

type Codec = (message: unknown) => Buffer;
const writer =
  (desc: DescMessage): Codec =>
  (message) =>
    Buffer.from(toBinary(desc, create(desc, message as MessageInitShape<DescMessage>)));
const reader = (desc: DescMessage) => (bytes: Buffer) => fromBinary(desc, new Uint8Array(bytes));
const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

function metadataOf({ metadata = {} }: Beside): Metadata {
  const all = new Metadata();
  for (const [name, value] of Object.entries(metadata)) {
    all.set(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  }
  return all;
}

function text(metadata: Metadata | undefined, name: string): string | undefined {
  const [value] = metadata?.get(name) ?? [];
  return Buffer.isBuffer(value) ? value.toString("base64") : value;
}

function failed(error: unknown): unknown {
  const { code, details } = error as GrpcJsError;
  return typeof code === "number" ? new CallFailed(code, details) : error;
}

const { toldEach } = telling(failed);

/** A client at `address`: `127.0.0.1:9090`. */
export function grpcJsClient(address: string, ca?: string): InteropClient & { close(): void } {
  const client = new Client(
    address,
    ca === undefined ? credentials.createInsecure() : credentials.createSsl(Buffer.from(ca)),
  );
  const options = ({ timeoutMs }: Beside): CallOptions =>
    timeoutMs === undefined ? {} : { deadline: systemClock.epoch() + timeoutMs };

  const watch = (call: ClientUnaryCall, { came, signal }: Beside): void => {
    signal?.addEventListener("abort", () => call.cancel());
    let headers: Metadata | undefined;
    call.on("metadata", (metadata: Metadata) => {
      headers = metadata;
    });
    call.on("status", ({ metadata }: { metadata: Metadata }) => {
      came?.(
        (name) => text(headers, name),
        (name) => text(metadata, name),
      );
    });
  };
  const unary = <T>(method: DescMethod, request: unknown, beside: Beside = {}): Promise<T> =>
    new Promise((resolve, reject) => {
      const done = (error: unknown, value?: unknown): void => (error ? reject(failed(error)) : resolve(value as T));
      const { input, output } = method;
      const path = pathOf(method);
      watch(
        client.makeUnaryRequest(
          path,
          writer(input),
          reader(output),
          request,
          metadataOf(beside),
          options(beside),
          done,
        ),
        beside,
      );
    });
  const { method } = TestService;
  return {
    emptyCall: () => unary(method.emptyCall, {}),
    unaryCall: (request, beside) => unary(method.unaryCall, request, beside),
    streamingInputCall: (requests, beside = {}) =>
      new Promise((resolve, reject) => {
        const { input, output } = method.streamingInputCall;
        const path = pathOf(method.streamingInputCall);
        const done = (error: unknown, value?: unknown): void =>
          error ? reject(failed(error)) : resolve(value as never);
        const codec = [writer(input), reader(output)] as const;
        const call = client.makeClientStreamRequest(path, ...codec, metadataOf(beside), options(beside), done);
        watch(call, beside);
        void (async () => {
          for await (const request of requests) call.write(request);
          call.end();
        })();
      }),
    streamingOutputCall(request, beside = {}) {
      const { input, output } = method.streamingOutputCall;
      const path = pathOf(method.streamingOutputCall);
      const codec = [writer(input), reader(output)] as const;
      const call = client.makeServerStreamRequest(path, ...codec, request, metadataOf(beside), options(beside));
      watch(call, beside);
      return toldEach(call as AsyncIterable<never>);
    },
    fullDuplexCall(requests, beside = {}) {
      const { input, output } = method.fullDuplexCall;
      const path = pathOf(method.fullDuplexCall);
      const call = client.makeBidiStreamRequest(
        path,
        writer(input),
        reader(output),
        metadataOf(beside),
        options(beside),
      );
      watch(call, beside);
      void (async () => {
        for await (const request of requests) call.write(request);
        call.end();
      })();
      return toldEach(call as AsyncIterable<never>);
    },
    unimplementedCall: () => unary(method.unimplementedCall, {}),
    unimplementedService: () => unary(UnimplementedService.method.unimplementedCall, {}),
    close: () => client.close(),
  };
}

type AnyCall = ServerUnaryCall<unknown, unknown> | ServerDuplexStream<unknown, unknown>;

function echo(call: AnyCall): Metadata {
  const initial = call.metadata.get("x-grpc-test-echo-initial");
  if (initial.length > 0) {
    const headers = new Metadata();
    headers.set("x-grpc-test-echo-initial", initial[0]!);
    call.sendMetadata(headers);
  }
  const trailers = new Metadata();
  const trailing = call.metadata.get("x-grpc-test-echo-trailing-bin");
  if (trailing.length > 0) trailers.set("x-grpc-test-echo-trailing-bin", trailing[0]!);
  return trailers;
}

const byNumber = new Map(Object.values(status).map((code) => [Number(code), code as status]));

const payload = (size: number): { payload: { body: Uint8Array } } => ({ payload: { body: new Uint8Array(size) } });

/** A server on a free port of the loopback. */
export async function grpcJsServer(): Promise<{ readonly port: number; close(): void }> {
  const handlers: Readonly<Record<string, UntypedHandleCall>> = {
    emptyCall: (_call: ServerUnaryCall<unknown, unknown>, done: sendUnaryData<unknown>) => done(null, {}),
    unaryCall(call: ServerUnaryCall<SimpleRequest, unknown>, done: sendUnaryData<unknown>) {
      const { responseSize, responseStatus } = call.request;
      const trailers = echo(call);
      if (responseStatus !== undefined && responseStatus.code !== 0) {
        return done({ code: byNumber.get(responseStatus.code)!, details: responseStatus.message });
      }
      done(null, payload(responseSize), trailers);
    },
    streamingOutputCall(call: ServerWritableStream<StreamingOutputCallRequest, unknown>) {
      for (const { size } of call.request.responseParameters) call.write(payload(size));
      call.end();
    },
    streamingInputCall(call: ServerReadableStream<StreamingInputCallRequest, unknown>, done: sendUnaryData<unknown>) {
      let aggregatedPayloadSize = 0;
      call.on("data", (request: StreamingInputCallRequest) => {
        aggregatedPayloadSize += request.payload?.body.byteLength ?? 0;
      });
      call.on("error", () => {});
      call.on("end", () => done(null, { aggregatedPayloadSize }));
    },
    fullDuplexCall(call: ServerDuplexStream<StreamingOutputCallRequest, unknown>) {
      const trailers = echo(call);
      call.on("data", ({ responseParameters, responseStatus }: StreamingOutputCallRequest) => {
        if (responseStatus !== undefined) {
          call.emit("error", { code: responseStatus.code, details: responseStatus.message });
          return;
        }
        for (const { size } of responseParameters) call.write(payload(size));
      });
      call.on("error", () => {});
      call.on("end", () => call.end(trailers));
    },
  };
  const definition: Record<string, MethodDefinition<unknown, unknown>> = {};
  const implementation: Record<string, UntypedHandleCall> = {};
  for (const [name, handler] of Object.entries(handlers)) {
    const method = (TestService.method as Readonly<Record<string, DescMethod>>)[name]!;
    const { methodKind, input, output } = method;
    definition[name] = {
      path: pathOf(method),
      requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
      responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
      requestSerialize: writer(input),
      requestDeserialize: reader(input),
      responseSerialize: writer(output),
      responseDeserialize: reader(output),
    };
    implementation[name] = handler;
  }
  const server = new Server();
  server.addService(definition, implementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { port, close: () => server.forceShutdown() };
}
