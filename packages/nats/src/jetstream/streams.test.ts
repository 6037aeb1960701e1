import assert from "node:assert/strict";
import { test } from "node:test";
import { placeOf } from "./delivery.ts";
import { covers, durableOf } from "./streams.ts";

test("whether a stream takes all of a subject already", () => {
  for (const [wide, narrow, wanted] of [
    ["a.b", "a.b", true],
    ["a.*", "a.b", true],
    ["a.*", "a.*", true],
    ["a.b", "a.*", false],
    ["a.>", "a.*", true],
    ["a.>", "a.b.*", true],
    [">", "a.b.*", true],
    ["a.>", "a", false],
    ["a.*", "a.b.c", false],
    ["a.*.c", "a.b.c", true],
    ["a.*", "a.>", false],
    ["a.b", "a", false],
    ["*.b", "a.c", false],
  ] as const) {
    assert.equal(covers(wide, narrow), wanted, `${wide} and ${narrow}`);
  }
});

test("no two groups and services share a consumer", () => {
  const names = [
    ["billing", "shop.v1.Orders"],
    ["billing-shop", "v1.Orders"],
    ["billing-", "shop.v1.Orders"],
    ["billing--shop", "v1.Orders"],
    ["billing-shop-v1", "Orders"],
  ].map(([group, service]) => durableOf(group!, service!));
  assert.equal(new Set(names).size, names.length, names.join(", "));
});

test("where a message stands is read in either form, and from nothing else", () => {
  const old = "$JS.ACK.orders.billing-x.3.17.5.1700000000000000000.9";
  assert.deepEqual(placeOf(old), { deliveries: 3, sequence: 17, storedAt: "1700000000000000000" });
  assert.deepEqual(placeOf("$JS.ACK.hub.acchash.orders.billing-x.2.18.5.1700000000000000000.9.abc"), {
    deliveries: 2,
    sequence: 18,
    storedAt: "1700000000000000000",
  });
  for (const none of [
    undefined,
    "",
    "_INBOX.x",
    "$JS.ACK",
    "$JS.API.a.b.c.d.e.f.g",
    old.replace(".3.", ".x."),
    old.replace(".3.", ".0."),
    old.slice(0, 30),
  ]) {
    assert.equal(placeOf(none), undefined, String(none));
  }
});
