import assert from "node:assert/strict";
import { test } from "node:test";
import { leastRequest } from "../balance/least-request.ts";
import { seededRandom } from "../clock/random.ts";
import { systemClock } from "../clock/system-clock.ts";
import type { Connector, Listener } from "../endpoint/transport.ts";
import { until } from "../testing/discovery-recorder.ts";
import { type FaultProxy, faultProxy } from "../testing/fault-proxy.ts";
import { grpcClient } from "../transport/grpc/client.ts";
import { grpc } from "../transport/grpc/server.ts";
import { httpClient } from "../transport/http/client.ts";
import { http } from "../transport/http/server.ts";
import { MixedCalls } from "./test-fixtures/mixed-calls.ts";

const transports: [string, () => Listener, Connector, bidi?: boolean][] = [
  ["Connect over HTTP/2", () => http(), httpClient({ http2: true })],
  ["Connect over HTTP/1.1", () => http(), httpClient(), false],
  ["gRPC", () => grpc(), grpcClient()],
];

for (const [name, listener, transport, bidi = true] of transports) {
  test(`nothing is held after calls and streams of every fate (${name})`, async (t) => {
    const ways: FaultProxy[] = [];
    const mixed = await MixedCalls.start({
      clock: systemClock,
      random: seededRandom(5),
      balance: leastRequest(),
      transport,
      bidi,
      // The machine may be busy.
      perTryTimeoutMs: 2000,
      listener,
      async through(to) {
        const way = await faultProxy({ to });
        ways.push(way);
        return way.address;
      },
    });
    // Now and then an instance loses all its connections.
    let lost = 0;
    const cutting = setInterval(() => void ways[lost++ % ways.length]!.inject({ reset: true }).heal(), 50);
    try {
      await mixed.make(700, 60);
      clearInterval(cutting);
      t.diagnostic(JSON.stringify(mixed.outcomes));
      await until("nothing is held", () => mixed.held === 0);
      await until("circuits let probes through", () => mixed.rested);
      await mixed.check(bidi);
    } finally {
      clearInterval(cutting);
      await mixed.close();
      await Promise.all(ways.map((way) => way.close()));
    }
    assert.ok(lost > 5);
    for (const code of ["ok", "unavailable", "internal", "canceled", "deadline_exceeded"]) {
      assert.ok((mixed.outcomes[code] ?? 0) > 0, `${code}: ${mixed.outcomes[code]}`);
    }
    const left = (): string[] => process.getActiveResourcesInfo().filter((type) => /TCP|TLS/.test(type));
    await until("every handle is gone", () => left().length === 0);
  });
}
