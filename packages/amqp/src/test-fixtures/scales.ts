import { createFileRegistry, fromJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { Contract } from "flotilla/contract";
import { fromProtobuf } from "flotilla/protobuf";

const files = createFileRegistry(
  fromJson(FileDescriptorSetSchema, {
    file: [
      {
        name: "cargo/v1/weigh.proto",
        package: "cargo.v1",
        syntax: "proto3",
        messageType: [
          {
            name: "Weight",
            field: [
              { name: "kilos", number: 1, label: "LABEL_OPTIONAL", type: "TYPE_INT32", jsonName: "kilos" },
              { name: "label", number: 2, label: "LABEL_OPTIONAL", type: "TYPE_STRING", jsonName: "label" },
            ],
          },
        ],
        service: [
          {
            name: "Scales",
            method: [{ name: "Weigh", inputType: ".cargo.v1.Weight", outputType: ".cargo.v1.Weight" }],
          },
        ],
      },
    ],
  }),
);

/** A service from a protobuf descriptor: `cargo.v1.Scales/Weigh`, known as `weigh`. */
export const Scales: Contract = fromProtobuf(files.getService("cargo.v1.Scales")!);
