import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { MethodDefinition } from "@grpc/grpc-js";
import { describeCalculator } from "../lib/calc-pb.ts";

const write = (desc: DescMessage) => (message: unknown) =>
  Buffer.from(toBinary(desc, create(desc, message as MessageInitShape<DescMessage>)));
const read = (desc: DescMessage) => (bytes: Buffer) => fromBinary(desc, bytes) as unknown;

/** The calculator for grpc-js, with the protobuf implementation that all rows but the raw one use. */
export function definition(): Record<"sum" | "ticks", MethodDefinition<unknown, unknown>> {
  const { method, typeName } = describeCalculator();
  const of = (name: string): MethodDefinition<unknown, unknown> => {
    const { input, output, methodKind } = method[name]!;
    return {
      path: `/${typeName}/${name}`,
      requestStream: false,
      responseStream: methodKind === "server_streaming",
      requestSerialize: write(input),
      requestDeserialize: read(input),
      responseSerialize: write(output),
      responseDeserialize: read(output),
    };
  };
  return { sum: of("sum"), ticks: of("ticks") };
}
