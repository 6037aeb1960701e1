import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { http } from "flotilla/http";
import { host, implement, type RunningHost } from "flotilla/service";
import { Profiles } from "./contract.ts";
import { profileService } from "./service.ts";
import { ProfileStore } from "./store.ts";

let running: RunningHost;
let at = "";

before(async () => {
  const store = new ProfileStore(":memory:");
  running = await host({
    name: "profiles",
    serve: [implement(Profiles, profileService(store))],
    listen: [http()],
    close: [store],
    onEvent() {},
  }).start();
  at = running.addresses[0]!;
});

after(() => running.stop());

async function call(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
  const response = await fetch(at + path, {
    method,
    headers: { ...headers, ...(body && { "content-type": "application/json" }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === "" ? undefined : (JSON.parse(text) as unknown),
  };
}

const ada = { id: "ada", name: "Ada Lovelace", addresses: [] };

test("create, read, replace, change, remove", async () => {
  const created = await call("POST", "/profiles", { id: "ada", name: "Ada Lovelace" });
  assert.deepEqual([created.status, created.body], [201, ada]);
  assert.deepEqual((await call("GET", "/profiles/ada")).body, ada);

  const home = { id: "home", location: "London" };
  assert.deepEqual((await call("PUT", "/profiles/ada", { name: "Ada King", addresses: [home] })).body, {
    id: "ada",
    name: "Ada King",
    addresses: [home],
  });
  assert.deepEqual((await call("PATCH", "/profiles/ada", { name: "Ada Lovelace" })).body, {
    ...ada,
    addresses: [home],
  });

  const removed = await call("DELETE", "/profiles/ada");
  assert.deepEqual([removed.status, removed.body], [204, undefined]);
  assert.equal((await call("DELETE", "/profiles/ada")).status, 204, "removing twice is the same as once");
});

test("what goes wrong is a problem document", async () => {
  const missing = await call("GET", "/profiles/nobody");
  assert.equal(missing.status, 404);
  assert.match(missing.headers.get("content-type")!, /^application\/problem\+json/);
  assert.equal((missing.body as { detail: string }).detail, 'there is no profile "nobody"');

  await call("POST", "/profiles", { id: "twice", name: "T" });
  assert.equal((await call("POST", "/profiles", { id: "twice", name: "T" })).status, 409);

  const invalid = await call("POST", "/profiles", { id: "x", name: "", addresses: [{ id: "a" }] });
  assert.equal(invalid.status, 400);
  const fields = (invalid.body as { errors: { field: string }[] }).errors.map((error) => error.field);
  assert.deepEqual(fields, ["name", "addresses[0].location"]);
});

test("pages, with numbers in the query", async () => {
  for (const id of ["p1", "p2", "p3"]) await call("PUT", `/profiles/${id}`, { name: id });
  const first = (await call("GET", "/profiles?after=p0&limit=2")).body as { profiles: { id: string }[]; next: string };
  assert.deepEqual([first.profiles.map((profile) => profile.id), first.next], [["p1", "p2"], "p2"]);
  assert.equal((await call("GET", "/profiles?limit=many")).status, 400);
});

test("a profile that has not changed is not sent again", async () => {
  await call("PUT", "/profiles/etag", { name: "E" });
  const etag = (await call("GET", "/profiles/etag")).headers.get("etag")!;
  assert.equal((await call("GET", "/profiles/etag", undefined, { "if-none-match": etag })).status, 304);
  await call("PATCH", "/profiles/etag", { name: "F" });
  assert.equal((await call("GET", "/profiles/etag", undefined, { "if-none-match": etag })).status, 200);
});
