import { create, createFileRegistry, type DescService } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";

const double = (name: string, number: number) => ({
  name,
  jsonName: name,
  number,
  type: Type.DOUBLE,
  label: Label.OPTIONAL,
});

const method = (name: string, inputType: string, outputType: string) => ({
  name,
  inputType: `.calc.v1.${inputType}`,
  outputType: `.calc.v1.${outputType}`,
});

/**
 * What protoc would make of:
 *
 *     service Calculator {
 *       rpc sum(SumRequest) returns (SumResponse);
 *       rpc ticks(SumRequest) returns (stream SumResponse);
 *     }
 *
 * `ticks` answers with `a` messages of the value `b`.
 */
export function describeCalculator(): DescService {
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
        method: [
          method("sum", "SumRequest", "SumResponse"),
          { ...method("ticks", "SumRequest", "SumResponse"), serverStreaming: true },
        ],
      },
    ],
  });
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));
  const service = registry.getService("calc.v1.Calculator");
  if (service === undefined) throw new Error("calc.v1.Calculator is not in its own descriptor");
  return service;
}
