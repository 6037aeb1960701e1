import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { VirtualClock } from "../../../clock/virtual-clock.ts";
import { background, withTimeout } from "../../../context/with.ts";
import { withPriority } from "../../../metadata/priority.ts";
import { withTrace } from "../../../metadata/trace.ts";
import { endToEnd, nominated } from "./field-names.ts";
import { attemptFields, passes, type Rewriting, rewriteFields } from "./request-headers.ts";

const how: Rewriting = {
  origin: { peer: "192.0.2.7", host: "shop.example", proto: "https", prefix: "" },
  trusted: false,
  via: "edge",
  version: "1.1",
  contentLength: undefined,
};

function rewritten(fields: Readonly<Record<string, string>>, more: Partial<Rewriting> = {}): Record<string, string> {
  const { fixed } = rewriteFields(Object.entries(fields).flat(), { ...how, ...more });
  const record: Record<string, string> = {};
  for (let i = 0; i < fixed.length; i += 2) {
    const name = fixed[i]!.toLowerCase();
    assert.equal(record[name], undefined, `${name} stands more than once`);
    record[name] = fixed[i + 1]!;
  }
  return record;
}

const hop = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
];
const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/).map((name) => `x-${name}`);
const mixed = (name: string): fc.Arbitrary<string> =>
  fc
    .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
    .map((upper) => Array.from(name, (char, i) => (upper[i] ? char.toUpperCase() : char)).join(""));

test("property: no field of the connection passes, nor one that Connection names; all others do, in order", () => {
  const field = fc.oneof(
    fc.tuple(fc.constantFrom(...hop).chain(mixed), fc.string({ unit: "grapheme-ascii" })),
    fc.tuple(token.chain(mixed), fc.string({ unit: "grapheme-ascii" })),
  );
  const separated = fc.tuple(fc.constantFrom(",", ", ", " ,\t", ",,"), fc.array(token.chain(mixed), { maxLength: 4 }));
  fc.assert(
    fc.property(fc.array(field, { maxLength: 20 }), fc.array(separated, { maxLength: 3 }), (fields, lists) => {
      const raw = fields.flat();
      for (const [between, names] of lists) raw.push("Connection", names.join(between));
      const named = new Set(lists.flatMap(([, names]) => names.map((name) => name.toLowerCase())));
      for (let i = 0; i < raw.length; i += 2) {
        if (raw[i]!.toLowerCase() !== "connection") continue;
        for (const option of raw[i + 1]!.split(",")) named.add(option.trim().toLowerCase());
      }
      const expected = fields.filter(([name]) => {
        const lower = name.toLowerCase();
        return lower.startsWith("x-") && !named.has(lower);
      });
      const response = endToEnd(raw).filter((_, i, all) => all[i - (i % 2)]!.toLowerCase() !== "trailer");
      assert.deepEqual(response, expected.flat());
      const { fixed } = rewriteFields(raw, how);
      const kept: string[] = [];
      for (let i = 0; i < fixed.length; i += 2) {
        const lower = fixed[i]!.toLowerCase();
        assert.ok(lower === "te" || !hop.includes(lower), lower);
        if (lower.startsWith("x-") && !lower.startsWith("x-forwarded-")) kept.push(fixed[i]!, fixed[i + 1]!);
      }
      assert.deepEqual(kept, expected.flat());
    }),
  );
});

test("of TE only trailers passes", () => {
  assert.equal(rewritten({ te: "gzip, Trailers;q=0.5" })["te"], "trailers");
  assert.equal(rewritten({ te: "gzip" })["te"], undefined);
  assert.equal(rewritten({ te: "nottrailers" })["te"], undefined);
});

test("what a client says of its origin is replaced, however it is spelt", () => {
  const fields = rewritten({
    Forwarded: "for=10.0.0.1",
    "X-Forwarded-For": "10.0.0.1",
    x_forwarded_for: "10.0.0.1",
    "X-Forwarded-Anything": "1",
    "X-Real_IP": "10.0.0.1",
    "x-real-ip": "10.0.0.1",
    "x-forwarded": "stays: no proxy sets it",
  });
  assert.deepEqual(fields, {
    "x-forwarded": "stays: no proxy sets it",
    via: "1.1 edge",
    "x-forwarded-for": "192.0.2.7",
    "x-forwarded-host": "shop.example",
    "x-forwarded-proto": "https",
    forwarded: 'for=192.0.2.7;host="shop.example";proto=https',
  });
});

test("what a trusted proxy says is gone on with", () => {
  const fields = rewritten(
    {
      forwarded: "for=198.51.100.1;proto=http",
      "x-forwarded-for": "198.51.100.1",
      "x-forwarded-host": "first.example",
      "x-forwarded-proto": "http",
      "x-forwarded-port": "8080",
      "x-forwarded-prefix": "/outer",
      "x-real-ip": "198.51.100.1",
      // No proxy writes it so: it comes from behind it.
      x_forwarded_for: "203.0.113.9",
      via: "1.0 before",
    },
    { trusted: true, origin: { ...how.origin, peer: "2001:db8::7", prefix: "/orders" } },
  );
  assert.deepEqual(fields, {
    via: "1.0 before, 1.1 edge",
    "x-forwarded-for": "198.51.100.1, 2001:db8::7",
    "x-forwarded-host": "first.example",
    "x-forwarded-proto": "http",
    "x-forwarded-prefix": "/outer/orders",
    "x-forwarded-port": "8080",
    "x-real-ip": "198.51.100.1",
    forwarded: 'for=198.51.100.1;proto=http, for="[2001:db8::7]";host="shop.example";proto=https',
  });
});

test("a client cannot have what the proxy says removed", () => {
  const fields = rewritten({
    connection: "x-forwarded-for, forwarded, via, host, x-mine",
    "x-mine": "1",
    via: "1.1 a",
  });
  assert.equal(fields["x-forwarded-for"], "192.0.2.7");
  assert.equal(fields["via"], "1.1 a, 1.1 edge");
  assert.equal(fields["x-mine"], undefined);
});

test("cookies become one, the length is that of the framing, Max-Forwards counts down", () => {
  const raw = [
    "cookie",
    "a=1",
    "Cookie",
    "b=2",
    "content-length",
    "7",
    "max-forwards",
    "3",
    ":path",
    "/",
    "host",
    "evil",
  ];
  const { fixed } = rewriteFields(raw, { ...how, contentLength: "5" });
  const at = (name: string): string | undefined => fixed[fixed.indexOf(name) + 1];
  assert.equal(at("cookie"), "a=1; b=2");
  assert.equal(at("content-length"), "5");
  assert.equal(at("max-forwards"), "2");
  assert.ok(!fixed.includes(":path") && !fixed.includes("host"));
});

test("an attempt carries the time left, the trace and the priority of its context, in place of those that came", () => {
  const clock = new VirtualClock();
  const raw = [
    "traceparent",
    "bad",
    "tracestate",
    "a=1",
    "x-request-priority",
    "critical",
    "connect-timeout-ms",
    "9",
    "grpc-timeout",
    "9m",
  ];
  const trace = { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, tracestate: undefined };
  const ctx = withTimeout(withPriority(withTrace(background(clock), trace), "sheddable"), 2000);
  const sent = (more: readonly string[]): Record<string, string> => {
    const flat = attemptFields(rewriteFields([...raw, ...more], how), ctx);
    const record: Record<string, string> = {};
    for (let i = 0; i < flat.length; i += 2) record[flat[i]!] = flat[i + 1]!;
    return record;
  };
  const plain = sent([]);
  assert.equal(plain["traceparent"], trace.traceparent);
  assert.equal(plain["tracestate"], undefined);
  assert.equal(plain["x-request-priority"], "sheddable");
  assert.equal(plain["connect-timeout-ms"], "2000");
  assert.equal(plain["grpc-timeout"], undefined);
  const grpc = sent(["content-type", "application/grpc+proto"]);
  assert.equal(grpc["grpc-timeout"], "2000m");
  assert.equal(grpc["connect-timeout-ms"], undefined);
  ctx.cancel();
});

test("how often a request came by is told by Via", () => {
  assert.equal(passes("1.1 edge, 2 other, 1.1  edge (comment)", "edge"), 2);
  assert.equal(passes("1.1 edges, edge", "edge"), 0);
});

test("Connection names nothing when it only says whether to close", () => {
  assert.equal(nominated(["connection", "keep-alive", "Connection", "Close, , keep-alive"]), undefined);
});
