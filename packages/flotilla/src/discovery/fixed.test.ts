import assert from "node:assert/strict";
import { test } from "node:test";
import { instancerContract } from "../testing/discovery-instancer-contract.ts";
import { SnapshotRecorder } from "../testing/discovery-recorder.ts";
import { fixed } from "./fixed.ts";

for (const { name, run } of instancerContract(async (initial) => ({ instancer: fixed(initial), async close() {} }))) {
  test(`fixed: ${name}`, run);
}

test("a list is for any service; an address is its own id", async () => {
  const seen = new SnapshotRecorder();
  fixed(["http://127.0.0.1:2", "http://127.0.0.1:1"]).watch("any", seen);
  await Promise.resolve();
  assert.deepEqual(seen.told, [
    [
      { id: "http://127.0.0.1:1", address: "http://127.0.0.1:1" },
      { id: "http://127.0.0.1:2", address: "http://127.0.0.1:2" },
    ],
  ]);
});

test("what was given may change afterwards without changing what is found", async () => {
  const instance = { id: "a", address: "http://127.0.0.1:1", metadata: { k: "v" } };
  const list = [instance];
  const instancer = fixed(list);
  instance.metadata.k = "w";
  list.length = 0;
  const seen = new SnapshotRecorder();
  instancer.watch("any", seen);
  await Promise.resolve();
  assert.deepEqual(seen.last, [{ id: "a", address: "http://127.0.0.1:1", metadata: { k: "v" } }]);
});

test("errors name what is wrong and where", () => {
  const address = "http://127.0.0.1:1";
  assert.throws(
    () => fixed(["127.0.0.1:8080"]),
    /^TypeError: fixed\[0\]: address "127.0.0.1:8080" must be a URL with a scheme/,
  );
  assert.throws(() => fixed(["localhost:8080"]), /must be a URL with a scheme and a host/);
  assert.throws(() => fixed([""]), /instance id must be a string that is not empty/);
  assert.throws(() => fixed([address, address]), /fixed\[1\]: instance "http:\/\/127.0.0.1:1" stands twice/);
  assert.throws(
    () => fixed(["http://user:secret@a"]),
    (error: Error) => /user name or password/.test(error.message) && !/secret/.test(error.message),
  );
  assert.throws(() => fixed(["http://a/?q=1"]), /neither query nor fragment/);
  assert.throws(
    () => fixed({ calc: [{ id: "a", address, weight: -1 }] }),
    /fixed: calc\[0\]: weight must be a number above 0/,
  );
  assert.throws(
    () => fixed({ calc: [{ id: "a", address, metadata: { n: 1 } as never }] }),
    /metadata "n" must be a string/,
  );
  assert.throws(
    () => fixed({ calc: [JSON.parse('{"id":"a","address":"http://a","metadata":{"__proto__":"x"}}')] }),
    /__proto__/,
  );
  assert.throws(() => fixed({ "": [] }), /service name must be a string that is not empty/);
  assert.throws(() => fixed(undefined as never), /give a list of addresses/);
  assert.throws(() => fixed({ calc: "http://a" as never }), /fixed: calc: give a list/);
});
