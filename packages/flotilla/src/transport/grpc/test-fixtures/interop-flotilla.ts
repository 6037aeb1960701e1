import { TestService, UnimplementedService } from "../../../../test/gen/grpc/testing/test_pb.ts";
import type { Context } from "../../../context/context.ts";
import { sleep } from "../../../context/sleep.ts";
import { background, withCancel, withTimeout } from "../../../context/with.ts";
import type { Client, Implementation } from "../../../contract/contract.ts";
import { fromProtobuf } from "../../../contract/protobuf/from-protobuf.ts";
import type { Connection } from "../../../endpoint/transport.ts";
import { codeFromGrpc, codes } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { serverCall, withHeaders, withResponseObserver } from "../../../metadata/call.ts";
import { stub } from "../../../service/stub.ts";
import { type Beside, CallFailed, type InteropClient, telling } from "./interop-cases.ts";

export const TestContract = fromProtobuf(TestService);
const UnimplementedContract = fromProtobuf(UnimplementedService);

function echo(ctx: Context): void {
  const call = serverCall(ctx)!;
  const initial = call.headers.get("x-grpc-test-echo-initial");
  if (initial !== undefined) call.responseHeaders.set("x-grpc-test-echo-initial", initial);
  const trailing = call.headers.get("x-grpc-test-echo-trailing-bin");
  if (trailing !== undefined) call.responseTrailers.set("x-grpc-test-echo-trailing-bin", trailing);
}

function obey(status: { code: number; message: string } | undefined): void {
  const code = status === undefined ? undefined : codeFromGrpc(status.code);
  if (code !== undefined) throw new ServiceError(code, status!.message);
}

const payload = (size: number): { payload: { body: Uint8Array } } => ({ payload: { body: new Uint8Array(size) } });

/** grpc.testing.TestService as the cases want it. */
export const testService: Implementation<typeof TestContract> = {
  emptyCall: () => ({}),
  unaryCall(ctx, { responseSize, responseStatus }) {
    echo(ctx);
    obey(responseStatus);
    return payload(responseSize);
  },
  async *streamingOutputCall(ctx, { responseParameters }) {
    for (const { size, intervalUs } of responseParameters) {
      if (intervalUs > 0) await sleep(ctx, intervalUs / 1000);
      yield payload(size);
    }
  },
  async streamingInputCall(_ctx, requests) {
    let aggregatedPayloadSize = 0;
    for await (const request of requests) aggregatedPayloadSize += request.payload?.body.byteLength ?? 0;
    return { aggregatedPayloadSize };
  },
  async *fullDuplexCall(ctx, requests) {
    echo(ctx);
    for await (const { responseParameters, responseStatus } of requests) {
      obey(responseStatus);
      for (const { size } of responseParameters) yield payload(size);
    }
  },
  unimplementedCall() {
    throw new ServiceError("unimplemented", "as it should be");
  },
};

const { told, toldEach } = telling((error) =>
  error instanceof ServiceError ? new CallFailed(codes[error.code].grpc, error.message) : error,
);

/** Flotilla's own client in the form that the cases take. */
export function interopClient(connection: Connection): InteropClient {
  const client: Client<typeof TestContract> = stub(TestContract, (method) => connection.endpoint(method));
  const other = stub(UnimplementedContract, (method) => connection.endpoint(method));
  const contextOf = ({ metadata, timeoutMs, signal, came }: Beside = {}): Context => {
    let ctx = withCancel(background()) as Context & { cancel(): void };
    signal?.addEventListener("abort", ctx.cancel.bind(ctx));
    if (timeoutMs !== undefined) ctx = withTimeout(ctx, timeoutMs);
    let inner: Context = ctx;
    if (metadata !== undefined) inner = withHeaders(inner, metadata);
    if (came !== undefined) {
      inner = withResponseObserver(inner, (headers, trailers) =>
        came(
          (name) => headers.get(name),
          (name) => trailers.get(name),
        ),
      );
    }
    return inner;
  };
  return {
    emptyCall: () => told(client.emptyCall(background(), {})),
    unaryCall: (request, beside) => told(client.unaryCall(contextOf(beside), request)),
    streamingInputCall: (requests, beside) => told(client.streamingInputCall(contextOf(beside), requests)),
    streamingOutputCall: (request, beside) => toldEach(client.streamingOutputCall(contextOf(beside), request)),
    fullDuplexCall: (requests, beside) => toldEach(client.fullDuplexCall(contextOf(beside), requests)),
    unimplementedCall: () => told(client.unimplementedCall(background(), {})),
    unimplementedService: () => told(other.unimplementedCall(background(), {})),
  };
}
