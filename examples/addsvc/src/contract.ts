import type { Client } from "flotilla/contract";
import { fromProtobuf } from "flotilla/protobuf";
import { Adder as AdderDescriptor } from "./gen/addsvc/v1/addsvc_pb.ts";

/** The service: from its protobuf definition, so that peers in any language have it; with a REST route for each unary method. */
export const Adder = fromProtobuf(AdderDescriptor, {
  doc: "Adds numbers, and texts.",
  methods: {
    sum: { rest: "GET /sum/{a}/{b}" },
    concat: { rest: "GET /concat" },
  },
  // What is 0 is told, too.
  emitDefaults: true,
});

/** What a caller has in hand, whatever is under it. */
export type AdderClient = Client<typeof Adder> & AsyncDisposable;
