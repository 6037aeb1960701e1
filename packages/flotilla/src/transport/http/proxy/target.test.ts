import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isHost, plainAddress } from "./forwarded.ts";
import { isBelow, parseTarget, prefixOf, wanders } from "./target.ts";

test("property: a target is taken apart without losing a character", () => {
  const path = fc.string({ unit: fc.constantFrom(...Array.from("/ab.%2eF;?=&\\:@")) }).map((rest) => `/${rest}`);
  fc.assert(
    fc.property(path, (url) => {
      const target = parseTarget(url)!;
      assert.equal(target.path + target.query, url);
      const absolute = parseTarget(`HTTP://shop.example:80${url}`)!;
      assert.equal(absolute.path + absolute.query, url);
      assert.equal(absolute.authority, "shop.example:80");
    }),
  );
});

test("property: what a URL parser would resolve out of a prefix is told to wander", () => {
  const segment = fc.constantFrom("a", "..", ".", "%2e%2E", ".%2e", "b", "...", "..c", "%2f", "");
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 6 }), (segments) => {
      const path = `/in/${segments.join("/")}`;
      const resolved = new URL(path, "http://x").pathname;
      if (!isBelow(resolved, "/in")) assert.ok(wanders(path), path);
      if (segments.every((one) => !/^(?:\.|%2e){1,2}$/i.test(one))) assert.ok(!wanders(path), path);
    }),
  );
});

test("what is no path is no target", () => {
  for (const url of ["*", "host:443", "", "ftp://a/b"]) assert.equal(parseTarget(url), undefined);
  assert.deepEqual(parseTarget("http://a"), { path: "/", query: "", authority: "a" });
  assert.deepEqual(parseTarget("https://a?b"), { path: "/", query: "?b", authority: "a" });
});

test("a prefix ends with a segment", () => {
  assert.ok(isBelow("/a", prefixOf("/a/")) && isBelow("/a/b", "/a") && isBelow("/x", prefixOf("/")));
  assert.ok(!isBelow("/ab", "/a") && !isBelow("/a%2Fb", "/a"));
});

test("a host is a name or an address, with a port perhaps", () => {
  for (const host of ["a", "a.example:80", "[::1]:80", "127.0.0.1", "a_b", ""]) assert.ok(isHost(host), host);
  for (const host of ["a b", 'a"', "a/b", "a@b", "a\\b", "[::1", "a:80:80", "a?", "a#"]) assert.ok(!isHost(host), host);
});

test("an IPv4 address over an IPv6 socket is an IPv4 address", () => {
  assert.equal(plainAddress("::ffff:192.0.2.1"), "192.0.2.1");
  assert.equal(plainAddress("::1"), "::1");
  assert.equal(plainAddress(undefined), "unknown");
});
