import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProxyOptions } from "./options.ts";
import { proxy } from "./proxy.ts";
import { proxyClient } from "./proxy-client.ts";

const over: ProxyOptions["over"] = {
  endpoint() {
    throw new Error("not called");
  },
};

test("options that are not legal are named", () => {
  const wrong: readonly [RegExp, Partial<ProxyOptions>][] = [
    [/path must be a path like/, { path: "orders" }],
    [/path must be a path like/, { path: "/a/../b" }],
    [/rewrite must be a path like/, { rewrite: "/a?b" }],
    [/host must be "keep" or "upstream"/, { host: "mine" as "keep" }],
    [/via must be a name without spaces/, { via: "two words" }],
    [/idleTimeoutMs must be a number above 0/, { idleTimeoutMs: 0 }],
    [/timeoutMs must be a number above 0/, { timeoutMs: -1 }],
    [/maxConcurrentRequests must be a number above 0/, { maxConcurrentRequests: Number.NaN }],
  ];
  for (const [message, options] of wrong) assert.throws(() => proxy({ over, ...options }), message);
  assert.throws(() => proxyClient({ maxHeaderBytes: 0 }), /proxyClient: maxHeaderBytes must be a number above 0/);
  assert.throws(() => proxyClient({ maxWaiting: -1 }), /proxyClient: maxWaiting must be a number above 0/);
  assert.throws(() => proxyClient({ maxConnections: 0 }), /proxyClient: maxConnections must be a number above 0/);
  assert.throws(() => proxyClient({ scheme: "HTTP:" }), /proxyClient: scheme must be like/);
  assert.throws(() => proxyClient().connect("http://a/b"), /must look like http:\/\/host:port/);
  assert.throws(() => proxyClient({ scheme: "grpc" }).connect("ftp://a"), /must look like grpc:\/\/host:port/);
});
