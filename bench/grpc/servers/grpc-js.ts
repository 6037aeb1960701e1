import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { ready } from "../../lib/ready.ts";
import { definition } from "../definition.ts";

interface Request {
  readonly a: number;
  readonly b: number;
}

const server = new Server();
server.addService(definition(), {
  sum(call: ServerUnaryCall<Request, unknown>, done: sendUnaryData<unknown>) {
    done(null, { v: call.request.a + call.request.b });
  },
  ticks(call: ServerWritableStream<Request, unknown>) {
    const { a, b } = call.request;
    let left = a;
    const go = (): void => {
      while (left-- > 0) if (!call.write({ v: b })) return;
      left = 0;
      call.off("drain", go);
      call.end();
    };
    call.on("drain", go);
    go();
  },
});
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  ready(port);
});
