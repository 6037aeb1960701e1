import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import { baggage } from "../metadata/baggage.ts";
import { host } from "../service/host.ts";
import { implement } from "../service/implement.ts";
import { http } from "../transport/http/server.ts";
import { logFile } from "./log/test-fixtures/log-bed.ts";
import { telemetry } from "./telemetry.ts";
import { RecordingSink } from "./trace/test-fixtures/recorder.ts";

const message = z.object({ n: z.number() });
const Work = contract("test.v1.Work", { do: unary({ input: message, output: message }) });
const sink = new RecordingSink();
const file = logFile();
const observed = telemetry({
  service: "work",
  env: {},
  traces: { sinks: [sink], b3: "single" },
  logs: { fd: file.fd, format: "json" },
});
let members = 0;
const running = await host({
  name: "work",
  serve: [
    implement(Work, {
      do(ctx, request) {
        members = baggage(ctx).size;
        return request;
      },
    }),
  ],
  listen: [http()],
  telemetry: observed,
  admin: false,
  onEvent() {},
}).start();
after(async () => {
  await running.stop();
  file.remove();
});
const { hostname, port } = new URL(running.addresses[0]!);

/** Sends headers as they are, byte for byte. @returns the whole answer. */
async function send(headers: readonly (readonly [name: string, value: string])[]): Promise<string> {
  const body = '{"n":1}';
  const head = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const socket = connect(Number(port), hostname);
  // Not ended: to an HTTP/1.1 server a client that closes its side has gone.
  socket.write(
    `POST /test.v1.Work/do HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n${head}\r\n${body}`,
    "latin1",
  );
  let answer = "";
  socket.setEncoding("latin1").on("data", (chunk) => (answer += chunk as unknown as string));
  await once(socket, "close");
  return answer;
}

const id = "4bf92f3577b34da6a3ce929d0e0e4736";
/** What may stand in a header: visible characters, spaces, tabs and what is beyond ASCII. */
const text = fc.string({ unit: fc.constantFrom(...Array.from('09azAF-=,;:%"\\ \t\u00e9\u00ff{}')), maxLength: 200 });
const value = fc.oneof(
  text,
  fc.constantFrom(
    `00-${id}-00f067aa0ba902b7-01`,
    `00-${id.toUpperCase()}-00f067aa0ba902b7-01`,
    `ff-${id}-00f067aa0ba902b7-01`,
    `cc-${id}-00f067aa0ba902b7-01-what-the-future-will-be-like`,
    `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
    `00-${id}-00f067aa0ba902b7-01`.repeat(50),
    Array.from({ length: 100 }, (_, i) => `k${i}=v`).join(","),
    `big=${"x".repeat(9000)}`,
    "a=%,b=%zz,c=%E0%A4%A,__proto__=1,constructor=2",
    `${id}-00f067aa0ba902b7-d`,
    "0",
  ),
);
const name = fc.constantFrom(
  "traceparent",
  "tracestate",
  "baggage",
  "b3",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-sampled",
);

test("whatever stands in the headers of traces and baggage, the call is served, traced and logged (property)", async () => {
  let calls = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, value), { maxLength: 6 }), async (headers) => {
      // All headers of a request have 16 KiB; that is not what is tested here.
      fc.pre(headers.reduce((sum, [, each]) => sum + each.length, 0) < 15_000);
      const answer = await send(headers);
      assert.match(answer, /^HTTP\/1\.1 200 /);
      assert.ok(answer.endsWith('{"n":1}'));
      calls++;
      const span = sink.spans.at(-1)!;
      assert.equal(sink.spans.length, calls, "each call one span");
      assert.match(span.traceId, /^(?!0{32})[0-9a-f]{32}$/);
      assert.ok(span.parentSpanId === undefined || /^(?!0{16})[0-9a-f]{16}$/.test(span.parentSpanId));
      assert.ok((span.traceState ?? "").length <= 512);
      assert.ok(members <= 180);
    }),
    { numRuns: 200 },
  );
  await running.stop();
  const lines = file.lines().filter(({ msg }) => msg === "served");
  assert.equal(lines.length, calls);
  assert.deepEqual(
    lines.map(({ trace_id }) => trace_id),
    sink.spans.map(({ traceId }) => traceId),
  );
});
