import { background } from "flotilla/context";
import { Metadata, type ServerCall } from "flotilla/metadata";
import { loggingOnly } from "../../lib/bench-log.ts";
import { Calculator } from "../../lib/calculator.ts";
import { serveLoop } from "../../lib/worker.ts";

const [method] = Calculator.methods;
const observer = loggingOnly().server.method(method);
const ctx = background();

/** A call as a transport has it. */
const call: ServerCall = {
  headers: new Metadata(),
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  tracestate: undefined,
  deadline: 1000,
  observation: undefined,
  responseHeaders: new Metadata(),
  responseTrailers: new Metadata(),
  peer: "127.0.0.1:50000",
  protocol: "connect",
};

serveLoop((iterations) => {
  for (let i = 0; i < iterations; i++) {
    observer.begin(call, ctx, 0).end({
      method,
      protocol: "connect",
      code: "ok",
      status: 200,
      requestBytes: 13,
      responseBytes: 7,
      durationMs: i / 1000,
      error: undefined,
    });
  }
  return observer;
});
