// A proxy in between shows to nobody: the contract of transports holds through it, for each protocol that passes.
import { describe, test } from "node:test";
import type { Connector, Listener } from "../../../endpoint/transport.ts";
import { channel } from "../../../service/channel.ts";
import { transportContract } from "../../../testing/transport-contract.ts";
import { grpcClient } from "../../grpc/client.ts";
import { grpc } from "../../grpc/server.ts";
import { httpClient } from "../client.ts";
import { jsonRpcClient } from "../json-rpc/client.ts";
import { jsonRpc } from "../json-rpc/server.ts";
import { http } from "../server.ts";
import { proxy } from "./proxy.ts";
import { proxyClient } from "./proxy-client.ts";

/** The listener, with a proxy before it: calls in flight are those of the listener behind. */
function behindProxy(inner: Listener, client: Parameters<typeof proxyClient>[0], scheme: string): Listener {
  return {
    ...inner,
    async listen(services, root) {
      const behind = await inner.listen(services, root);
      const over = channel({ discover: [behind.address], transport: proxyClient(client) });
      const front = await http({ protocols: [proxy({ over })] }).listen([], root);
      return {
        protocol: behind.protocol,
        address: front.address.replace("http", scheme),
        get inFlight() {
          return behind.inFlight;
        },
        get connections() {
          return front.connections ?? 0;
        },
        discourage: () => front.discourage(),
        async drain() {
          await front.drain();
          await behind.drain();
        },
        async close(cause) {
          await behind.close(cause);
          await front.close(cause);
          await over.close();
        },
      };
    },
  };
}

const ways: Record<string, { listener(): Listener; connector(): Connector; bidi?: boolean; streams?: boolean }> = {
  "HTTP/1.1": { listener: () => behindProxy(http(), {}, "http"), connector: () => httpClient(), bidi: false },
  "HTTP/2": {
    listener: () => behindProxy(http(), { http2: true }, "http"),
    connector: () => httpClient({ http2: true }),
  },
  gRPC: {
    listener: () => behindProxy(grpc(), { http2: true, scheme: "grpc" }, "grpc"),
    connector: () => grpcClient(),
  },
  "JSON-RPC": {
    listener: () => behindProxy(http({ protocols: [jsonRpc()] }), {}, "http"),
    connector: () => jsonRpcClient(),
    streams: false,
  },
};

for (const [name, under] of Object.entries(ways)) {
  describe(`transport contract through a proxy, ${name}`, () => {
    for (const { name: title, run } of transportContract(under)) test(title, { timeout: 20_000 }, run);
  });
}
