import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { create, createFileRegistry, type DescService } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ready } from "../lib/ready.ts";

const double = (name: string, number: number) => ({
  name,
  jsonName: name,
  number,
  type: Type.DOUBLE,
  label: Label.OPTIONAL,
});

/** What protoc would make of `service Calculator { rpc sum(SumRequest) returns (SumResponse); }`. */
function describeCalculator(): DescService {
  const file = create(FileDescriptorProtoSchema, {
    name: "calc/v1/calc.proto",
    package: "calc.v1",
    syntax: "proto3",
    messageType: [
      { name: "SumRequest", field: [double("a", 1), double("b", 2)] },
      { name: "SumResponse", field: [double("v", 1)] },
    ],
    service: [
      {
        name: "Calculator",
        method: [{ name: "sum", inputType: ".calc.v1.SumRequest", outputType: ".calc.v1.SumResponse" }],
      },
    ],
  });
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));
  const service = registry.getService("calc.v1.Calculator");
  if (service === undefined) throw new Error("calc.v1.Calculator is not in its own descriptor");
  return service;
}

const sum = ({ a, b }: { a: number; b: number }) => ({ v: a + b });
// A descriptor made at run time carries no message types, so none can be checked here.
const routes = (router: ConnectRouter) => router.service(describeCalculator(), { sum } as never);
const server = createServer(connectNodeAdapter({ routes }));
server.listen(0, "127.0.0.1", () => ready((server.address() as AddressInfo).port));
