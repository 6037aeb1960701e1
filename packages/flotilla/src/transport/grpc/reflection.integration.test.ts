// As tools such as grpcurl use it: with a client that knows of nothing but the reflection service.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create, createFileRegistry, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Client, credentials } from "@grpc/grpc-js";
import { Echo } from "../../../test/gen/test/v1/echo_pb.ts";
import { background } from "../../context/with.ts";
import { fromProtobuf } from "../../contract/protobuf/from-protobuf.ts";
import { implement } from "../../service/implement.ts";
import { nothingEscapes } from "../http/test-fixtures/bed.ts";
import { Freight, freight } from "../http/test-fixtures/freight.ts";
import {
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "./gen/grpc/reflection/v1/reflection_pb.ts";
import type { GrpcServerOptions } from "./options.ts";
import { grpc } from "./server.ts";
import { TestContract, testService } from "./test-fixtures/interop-flotilla.ts";

nothingEscapes();

type Ask = (
  request: MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"],
) => Promise<ServerReflectionResponse["messageResponse"]>;

async function bed(t: TestContext, options: GrpcServerOptions, version = "v1"): Promise<Ask> {
  const EchoContract = fromProtobuf(Echo);
  const unused = { say: () => ({}), count: () => [] as never, sum: async () => ({}), chat: () => [] as never };
  const services = [
    implement(TestContract, testService),
    implement(EchoContract, unused as never),
    implement(Freight, freight()),
  ];
  const listening = await grpc(options).listen(services, background());
  t.after(() => listening.close());
  const client = new Client(new URL(listening.address).host, credentials.createInsecure());
  t.after(() => client.close());
  return (messageRequest) =>
    new Promise((resolve, reject) => {
      const call = client.makeBidiStreamRequest(
        `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
        (request: ServerReflectionRequest) => Buffer.from(toBinary(ServerReflectionRequestSchema, request)),
        (bytes) => fromBinary(ServerReflectionResponseSchema, bytes),
      );
      call.on("data", ({ messageResponse }: ServerReflectionResponse) => resolve(messageResponse));
      call.on("error", reject);
      call.write(create(ServerReflectionRequestSchema, { host: "h", messageRequest: messageRequest! }));
      call.end();
    });
}

for (const version of ["v1", "v1alpha"]) {
  test(`the services that come from protobuf are listed: ${version}`, async (t) => {
    const ask = await bed(t, { reflection: true }, version);
    const answer = await ask({ case: "listServices", value: "" });
    assert.equal(answer.case, "listServicesResponse");
    assert.deepEqual(
      answer.value.service.map(({ name }) => name),
      ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.testing.TestService", "test.v1.Echo"],
    );
  });
}

test("from a symbol, file by file, a tool gets all it needs to call", async (t) => {
  const ask = await bed(t, { reflection: true });
  const files = [];
  const wanted: Parameters<Ask>[0][] = [{ case: "fileContainingSymbol", value: "test.v1.Echo.Say" }];
  for (let next = wanted.pop(); next !== undefined; next = wanted.pop()) {
    const answer = await ask(next);
    assert.equal(answer.case, "fileDescriptorResponse");
    for (const bytes of answer.value.fileDescriptorProto) {
      const file = fromBinary(FileDescriptorProtoSchema, bytes);
      files.unshift(file);
      for (const name of file.dependency) wanted.push({ case: "fileByFilename", value: name });
    }
  }
  assert.deepEqual(
    files.map(({ name }) => name),
    ["google/protobuf/timestamp.proto", "test/v1/echo.proto"],
  );
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: files }));
  assert.equal(registry.getService("test.v1.Echo")?.methods.length, 4);
});

test("messages, fields and nested types are found by name", async (t) => {
  const ask = await bed(t, { reflection: true });
  for (const value of [
    "grpc.health.v1.HealthCheckResponse.ServingStatus",
    "test.v1.SayRequest",
    "test.v1.SayRequest.times",
  ]) {
    assert.equal((await ask({ case: "fileContainingSymbol", value })).case, "fileDescriptorResponse", value);
  }
});

test("what is not there is an answer, not the end of the stream", async (t) => {
  const ask = await bed(t, { reflection: true });
  const missing: Parameters<Ask>[0][] = [
    { case: "fileByFilename", value: "no/such.proto" },
    { case: "fileContainingSymbol", value: "no.Such" },
    { case: "fileContainingExtension", value: { containingType: "test.v1.SayRequest", extensionNumber: 7 } },
    { case: "allExtensionNumbersOfType", value: "no.Such" },
  ];
  for (const request of missing) {
    const answer = await ask(request);
    assert.equal(answer.case, "errorResponse");
    assert.equal(answer.value.errorCode, 5);
  }
  const none = await ask({ case: "allExtensionNumbersOfType", value: "test.v1.SayRequest" });
  assert.equal(none.case, "allExtensionNumbersResponse");
  assert.deepEqual(none.value.extensionNumber, []);
});

test("it is not served unless it is asked for", async (t) => {
  const ask = await bed(t, {});
  await assert.rejects(ask({ case: "listServices", value: "" }), { code: 12 });
});
