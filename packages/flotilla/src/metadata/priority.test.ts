import assert from "node:assert/strict";
import { test } from "node:test";
import { background, withValue } from "../context/with.ts";
import { type ServerCall, serverCallKey } from "./call.ts";
import { Metadata } from "./metadata.ts";
import { priorityHeader, priorityOf, withPriority } from "./priority.ts";

const incoming = (header?: string) =>
  withValue(background(), serverCallKey, {
    headers: new Metadata(header === undefined ? {} : { "x-request-priority": header }),
  } as ServerCall);

test("the one set last counts, else that of the incoming call, else default", () => {
  assert.equal(priorityOf(background()), "default");
  assert.equal(priorityOf(incoming()), "default");
  assert.equal(priorityOf(incoming("critical")), "critical");
  assert.equal(priorityOf(incoming("CRITICAL, sheddable")), "default");
  assert.equal(priorityOf(withPriority(incoming("critical"), "sheddable")), "sheddable");
  assert.equal(priorityOf(withPriority(withPriority(background(), "sheddable"), "critical")), "critical");
});

test("default is not sent, also where it was set against the incoming call's", () => {
  assert.equal(priorityHeader(incoming("sheddable")), "sheddable");
  assert.equal(priorityHeader(incoming("nonsense")), undefined);
  assert.equal(priorityHeader(withPriority(incoming("sheddable"), "default")), undefined);
});

test("what is none of the three is refused", () => {
  assert.throws(
    () => withPriority(background(), "urgent" as never),
    /withPriority: "urgent" is none of critical, default/,
  );
});
