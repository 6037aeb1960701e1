import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { z } from "zod";
import { depotAt, send, sendHeavy, track, weighAndSort } from "../../test/docs/callers.ts";
import { depot, followed, steps } from "../../test/docs/closing.ts";
import { Parcels } from "../../test/docs/contract.ts";
import { type Database, depotHost } from "../../test/docs/host.ts";
import { document, profiles } from "../../test/docs/rest.ts";
import { Depot, parcels } from "../../test/docs/service.ts";
import { timed } from "../../test/docs/timed.ts";
import { background, withCancel } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { unary } from "../contract/method.ts";
import type { Middleware } from "../endpoint/endpoint.ts";
import type { FinishedCall } from "../endpoint/finished-call.ts";
import { codes } from "../errors/code.ts";
import { ServiceError } from "../errors/service-error.ts";
import { serverCall, withResponseObserver } from "../metadata/call.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { failureOf, readAll } from "../testing/transport-bed.ts";
import { http } from "../transport/http/server.ts";
import { client } from "./channel.ts";
import { host } from "./host.ts";
import type { HostOptions } from "./host-options.ts";
import { implement } from "./implement.ts";

const root = join(import.meta.dirname, "../../../..");
const ctx = background();
const run = promisify(execFile);
const json = { "content-type": "application/json" };

/** Lines of code, whatever they are indented by, and less the `export`s that only the files need. */
function lines(code: string): string {
  return code
    .split("\n")
    .map((line) => line.trim().replace(/^export /, ""))
    .filter((line) => line !== "")
    .join("\n");
}

function page(name: string): string {
  return readFileSync(join(root, "docs", name), "utf8");
}

/** What stands under a heading, up to the next of the same rank or a higher one. */
function section(text: string, heading: string): string {
  const start = text.indexOf(`\n${heading}\n`);
  assert.ok(start >= 0, heading);
  const rest = text.slice(start + heading.length);
  return rest.split(new RegExp(`^#{1,${heading.indexOf(" ")}} `, "m"), 1)[0]!;
}

const transports = page("transports.md");
for (const [name, text] of Object.entries({
  "handlers-and-callers.md": page("handlers-and-callers.md"),
  "host.md": page("host.md"),
  "transports.md on REST": section(transports, "### REST"),
  "transports.md on OpenAPI": section(transports, "### OpenAPI"),
  "transports.md on protobuf": section(transports, "## Contracts from protobuf"),
})) {
  test(`what docs/${name} shows is what runs here`, () => {
    const folder = join(root, "packages/flotilla/test/docs");
    const paths = readdirSync(folder).map((file) => join(folder, file));
    paths.push(import.meta.filename, join(root, "examples/addsvc/src/contract.ts"));
    const files = paths.map((path) => lines(readFileSync(path, "utf8")));
    const snippets = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].flatMap(([, code]) =>
      lines(code!).split(/^\/\/ \.\.\.\n/m),
    );
    assert.ok(snippets.length > 0);
    const missing = snippets.filter((snippet) => !files.some((file) => file.includes(snippet)));
    assert.deepEqual(missing, []);
  });
}

async function started(t: TestContext, options: Partial<HostOptions>) {
  const errors: unknown[] = [];
  const running = await host({
    name: "depot",
    listen: [http()],
    admin: false,
    onEvent() {},
    onError: (error) => void errors.push(error),
    ...options,
  }).start();
  t.after(() => running.stop());
  const address = running.addresses[0]!;
  return { running, address, errors };
}

/** A client that is closed with the test. */
function closing<C extends AsyncDisposable>(t: TestContext, calls: C): C {
  t.after(() => calls[Symbol.asyncDispose]());
  return calls;
}

/** What is printed from now on, a list of arguments each. */
function printed(t: TestContext): () => unknown[][] {
  const { mock } = t.mock.method(console, "log", () => {});
  return () => mock.calls.map((call) => [...(call.arguments as unknown[])]);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe("handlers and callers", () => {
  test("a stream is read, and left early", async (t) => {
    const canceled: unknown[] = [];
    const watched: Middleware = (next, method) =>
      async function watched(inner, request) {
        inner.signal.addEventListener("abort", () => canceled.push(method.key), { once: true });
        return next(inner, request);
      };
    const { address } = await started(t, { serve: [implement(Parcels, parcels, { use: [watched] })] });
    const calls = closing(t, depotAt(address));
    const out = printed(t);
    await track(calls, "P7");
    assert.deepEqual(out(), [
      [1, "HAM"],
      [2, "SIN"],
    ]);
    await until(() => canceled.length > 0);
    await weighAndSort(calls, ctx);
    assert.deepEqual(out().slice(2), [[{ grams: 1200 }], ["P7", 2]]);
  });

  test("headers, trailers and details cross, and this is how they look", async (t) => {
    const { address } = await started(t, { serve: [implement(Parcels, parcels)] });
    const calls = closing(t, depotAt(address));
    const out = printed(t);
    await send(calls, ctx);
    assert.deepEqual(out(), [["HAM", "549"], [{ id: "acme-Rotterdam" }]]);
    await sendHeavy(calls, ctx);
    assert.deepEqual(out().slice(2), [["failed_precondition", "30000"]]);
    const post = (body: object) =>
      fetch(`${address}/post.v1.Parcels/send`, { method: "POST", headers: json, body: JSON.stringify(body) });
    const sent = await post({ to: "Rotterdam", grams: 500 });
    assert.deepEqual([sent.headers.get("x-depot"), sent.headers.get("trailer-x-cost")], ["HAM", "549"]);
    const heavy = await post({ to: "Rotterdam", grams: 50_000 });
    assert.equal(heavy.status, 400);
    const docs = page("handlers-and-callers.md");
    assert.ok(docs.includes(await heavy.text()));
  });

  test("who observes is told of answers, of failures, and of streams that have ended", async (t) => {
    const telling = { ...parcels, follow: told };
    const { address } = await started(t, { serve: [implement(Parcels, telling)] });
    const calls = closing(t, depotAt(address));
    const heard: unknown[] = [];
    const observed = withResponseObserver(ctx, (headers, trailers) => {
      heard.push([headers.get("x-depot"), trailers.get("x-cost")]);
    });
    await failureOf(calls.send(observed, { to: "X", grams: 50_000 }));
    assert.deepEqual(heard, [[undefined, undefined]]);
    for await (const _ of calls.follow(observed, { id: "P7" })) break;
    assert.equal(heard.length, 1, "left early");
    await readAll(calls.follow(observed, { id: "P7" }));
    assert.deepEqual(heard.slice(1), [["HAM", "1"]]);
    const failure = await failureOf(readAll(calls.follow(observed, { id: "lost" })));
    assert.deepEqual([failure.code, failure.metadata], ["not_found", { "x-cost": "1", "x-why": "sunk" }]);
    assert.equal(heard.length, 3);
  });

  test("a class, with the types of its requests by name", async (t) => {
    const { address } = await started(t, { serve: [implement(Parcels, new Depot())] });
    const calls = closing(t, depotAt(address));
    assert.deepEqual(await calls.send(ctx, { to: "X", grams: 1 }), { id: "X-1" });
    assert.deepEqual(await readAll(calls.follow(ctx, { id: "P", after: 2 })), [{ step: 3, place: "RTM" }]);
  });

  test("timed sees the end of streams", async (t) => {
    const failing = { ...parcels, sort: () => failed() };
    const { address } = await started(t, { serve: [implement(Parcels, failing, { use: [timed] })] });
    const calls = closing(t, depotAt(address));
    const out = printed(t);
    await readAll(calls.follow(ctx, { id: "P7" }));
    await failureOf(readAll(calls.sort(ctx, ids())));
    for await (const _ of calls.follow(ctx, { id: "P7" })) break;
    await failureOf(calls.send(ctx, { to: "X", grams: 50_000 }));
    await until(() => out().length === 4);
    assert.deepEqual(
      new Set(out().map(([procedure, code]) => `${String(procedure)} ${String(code)}`)),
      new Set([
        "post.v1.Parcels/follow ok",
        "post.v1.Parcels/sort not_found",
        "post.v1.Parcels/follow canceled",
        "post.v1.Parcels/send failed_precondition",
      ]),
    );
    const [first] = out();
    assert.ok((first![2] as number) > 10, "the whole stream, not until it was answered");
    const timing = closing(t, client(Parcels, { discover: [address], use: [timed] }));
    for await (const _ of timing.follow(ctx, { id: "P7" })) break;
    const atClient = out()
      .slice(4)
      .map(([, code]) => code);
    assert.ok(atClient.includes("ok"), "of one that was left, at the client");
  });

  test("middlewares see requests as they came, and neither malformed bodies nor unknown methods; hooks do", async (t) => {
    const seen: unknown[] = [];
    const before: string[] = [];
    const finished: FinishedCall[] = [];
    const watched: Middleware = (next) =>
      async function watched(inner, request) {
        try {
          return await next(inner, request);
        } catch (error) {
          seen.push(request, ServiceError.from(error).code);
          throw error;
        }
      };
    const hooks = {
      before: (inner: typeof ctx, call: { protocol: string }) => (before.push(call.protocol), inner),
      finalize: (_: unknown, call: FinishedCall) => void finished.push(call),
    };
    const { address } = await started(t, {
      serve: [implement(Parcels, parcels, { use: [watched] })],
      listen: [http({ hooks })],
    });
    const post = async (path: string, body: string) => {
      await (await fetch(address + path, { method: "POST", headers: json, body })).text();
    };
    await post("/post.v1.Parcels/send", '{"to":""}');
    await post("/post.v1.Parcels/send", '{"to');
    await post("/post.v1.Parcels/lose", "{}");
    await until(() => finished.length === 3);
    assert.deepEqual(seen, [{ to: "" }, "invalid_argument"]);
    assert.deepEqual(before, ["connect", "connect"]);
    assert.deepEqual(
      finished.map(({ method, code }) => [method?.key, code]),
      [
        ["send", "invalid_argument"],
        ["send", "invalid_argument"],
        [undefined, "unimplemented"],
      ],
    );
  });

  test("a stream whose host drains is cut off when the time is over, or ends when it is told", async (t) => {
    const cut = await started(t, {
      serve: [implement(Parcels, { ...parcels, follow: (inner) => forever(inner.signal) })],
      drainTimeoutMs: 20,
    });
    const other = closing(t, depotAt(cut.address));
    const stream = other.follow(ctx, { id: "P7" })[Symbol.asyncIterator]();
    // One that has begun is not begun anew elsewhere.
    assert.deepEqual((await stream.next()).value, { step: 1, place: "HAM" });
    const waiting = failureOf(stream.next());
    await cut.running.stop();
    const { code, message } = await waiting;
    assert.deepEqual([code, message], ["unavailable", "depot is shutting down"]);

    t.mock.method(console, "error", () => {});
    const registry = new TestRegistry();
    const running = await depot(registry).start();
    const calls = closing(t, client(Parcels, { discover: registry, onEvent() {} }));
    const read: number[] = [];
    const scope = withCancel(ctx);
    const reading = (async () => {
      for await (const { step } of followed(scope, calls, "P7")) read.push(step);
    })();
    await until(() => steps.listenerCount("step") === 1);
    const plain = failureOf(readAll(calls.follow(ctx, { id: "P7" })));
    await until(() => steps.listenerCount("step") === 2);
    steps.emit("step", { step: 1, place: "HAM" });
    await until(() => read.length === 1);
    await running.stop();
    assert.equal((await plain).message, "this depot closes: ask again");
    const next = await depot(registry).start();
    await until(() => steps.listenerCount("step") === 1);
    for (const step of [1, 2]) steps.emit("step", { step, place: "SIN" });
    await until(() => read.length === 2);
    scope.cancel();
    assert.equal((await failureOf(reading)).code, "canceled");
    await next.stop();
    assert.deepEqual(read, [1, 2], "taken up where it was");
  });

  test("a handler may give more than its contract says, and it goes out, unless it is parsed", async (t) => {
    const Profile = z.object({ name: z.string() });
    const Profiles = contract("docs.v1.Profiles", {
      leaky: unary({ input: z.object({}), output: Profile }),
      get: unary({ input: z.object({}), output: Profile }),
      strict: unary({ input: z.object({}), output: z.strictObject({ name: z.string() }) }),
    });
    const row = { name: "Ada", password: "secret" };
    const profiles = { leaky: () => row, get: () => Profile.parse(row), strict: () => row };
    const { address, errors } = await started(t, { serve: [implement(Profiles, profiles, { validateOutput: true })] });
    const calls = closing(t, client(Profiles, { discover: [address] }));
    assert.deepEqual(await calls.leaky(ctx, {}), row);
    assert.deepEqual(await calls.get(ctx, {}), { name: "Ada" });
    assert.equal((await failureOf(calls.strict(ctx, {}))).message, "internal error");
    assert.match(String((errors[0] as Error).cause), /Unrecognized key: "password"/);
  });

  test("dates and big numbers", async (t) => {
    const Instant = z.iso.datetime().transform((text) => new Date(text));
    const Cents = z
      .string()
      .regex(/^-?\d+$/)
      .transform(BigInt);
    const nothing = z.object({});
    const kinds = z.object({ kinds: z.string() });
    const tell = (...values: unknown[]) => ({
      kinds: values.map((value) => Object.prototype.toString.call(value)).join(),
    });
    const Times = contract("docs.v1.Times", {
      book: unary({ input: z.object({ at: Instant, cents: Cents }), output: kinds, rest: "GET /book/{at}" }),
      coerced: unary({
        input: z.object({ at: z.coerce.date(), n: z.any().optional() }),
        output: kinds,
        rest: "GET /coerced/{at}",
      }),
      date: unary({ input: z.object({ at: z.date() }), output: nothing }),
      dateOut: unary({ input: nothing, output: z.object({ at: z.date() }) }),
      bigOut: unary({ input: nothing, output: z.object({ n: z.bigint() }) }),
    });
    const times = implement(Times, {
      book: (_ctx, { at, cents }) => tell(at, cents),
      coerced: (_ctx, { at, n }) => tell(at, n),
      date: () => ({}),
      dateOut: () => ({ at: new Date(0) }),
      bigOut: () => ({ n: 1n }),
    });
    const { address, errors } = await started(t, { serve: [times] });
    const calls = closing(t, client(Times, { discover: [address] }));
    const at = "2026-01-31T12:00:00Z";
    assert.deepEqual(await calls.book(ctx, { at, cents: "549" }), { kinds: "[object Date],[object BigInt]" });
    assert.deepEqual(await calls.coerced(ctx, { at }), { kinds: "[object Date],[object Undefined]" });
    const query = await fetch(`${address}/coerced/${at}?n=3`);
    assert.deepEqual(
      await query.json(),
      { kinds: "[object Date],[object String]" },
      "no JSON Schema, so that text stays",
    );
    assert.equal((await failureOf(calls.date(ctx, { at: new Date(at) }))).code, "invalid_argument");
    assert.equal(typeof (await calls.dateOut(ctx, {})).at, "string", "whatever the type says");
    assert.equal((await failureOf(calls.bigOut(ctx, {}))).code, "internal");
    assert.equal(errors.length, 1);
  });
});

describe("HTTP", () => {
  test("curl is answered as docs/transports.md says", async (t) => {
    const { address } = await started(t, { serve: [implement(Parcels, parcels), profiles] });
    const consoles = [...section(transports, "## HTTP").matchAll(/^```console\n(.*?)^```$/gms)].map(
      ([, text]) => text!,
    );
    assert.equal(consoles.length, 2);
    for (const line of consoles.join("").split(/^\$ /m).slice(1)) {
      const [command = "", ...answer] = line.split("\n");
      const { stdout } = await run("bash", ["-c", command.replace("http://127.0.0.1:8080", address)]);
      assert.equal(stdout.trimEnd(), answer.join("\n").trimEnd(), command);
    }
  });

  test("every code has its status in the table", () => {
    const rows = [...section(transports, "### Status and code").matchAll(/^\| (\d+) \| (.*) \|$/gm)];
    const told = rows.flatMap(([, status, names]) =>
      [...names!.matchAll(/`(\w+)`/g)].map(([, code]) => `${code} ${status}`),
    );
    const known = Object.entries(codes).map(([code, { http: status }]) => `${code} ${status}`);
    assert.deepEqual(told.toSorted(), known.toSorted());
  });

  test("OpenAPI has both ways to each method", () => {
    assert.deepEqual(Object.keys(document.paths).toSorted(), [
      "/people.v1.Profiles/add",
      "/people.v1.Profiles/drop",
      "/people.v1.Profiles/get",
      "/profiles",
      "/profiles/{id}",
    ]);
  });
});

describe("the host", () => {
  test("tells of itself on its admin port, and ends its tasks", async (t) => {
    process.env["LOG_LEVEL"] = "fatal";
    let sweeps = 0;
    let down = "";
    const database: Database = {
      ping: () => (down === "" ? Promise.resolve() : Promise.reject(new Error(down))),
      sweep: async () => void sweeps++,
      close: () => void (sweeps = -sweeps),
    };
    const running = await depotHost(database, { HOST: "127.0.0.1", PORT: "0", ADMIN_PORT: "0" }).start();
    t.after(() => running.stop());
    const ask = async (page: string): Promise<[number, string]> => {
      const answer = await fetch(running.adminAddress! + page);
      return [answer.status, await answer.text()];
    };
    assert.deepEqual(await ask("/livez"), [200, '{"status":"ok"}\n']);
    assert.deepEqual(await ask("/startupz"), [200, '{"status":"ok"}\n']);
    assert.deepEqual(await ask("/readyz"), [200, '{"status":"ok"}\n']);
    down = "why";
    assert.deepEqual(await ask("/readyz"), [503, '{"status":"failing","failing":{"database":"why"}}\n']);
    const pages = JSON.parse((await ask("/"))[1]) as { error: string };
    const documented = [...page("host.md").matchAll(/^\| `(\/[a-z/]+)` \|/gm)];
    for (const [, page] of documented) {
      assert.ok(pages.error.includes(page!), page);
      assert.notEqual((await ask(page!))[0], 404);
    }
    assert.equal(documented.length, 6);
    assert.equal(pages.error.match(/\/[a-z]+(?:\/[a-z]+)?/g)!.length, 6, "no page more than these");
    await running.stop();
    assert.equal(sweeps, -1);
  });
});

async function* ids() {
  yield { id: "P7" };
}

async function* failed(): AsyncGenerator<{ id: string; chute: number }> {
  yield { id: "P7", chute: 1 };
  throw new ServiceError("not_found", "no such parcel");
}

async function* told(inner: typeof ctx, { id }: { id: string }): AsyncGenerator<{ step: number; place: string }> {
  const { responseHeaders, responseTrailers } = serverCall(inner)!;
  responseHeaders.set("x-depot", "HAM");
  yield { step: 1, place: "HAM" };
  responseTrailers.set("x-cost", "1");
  if (id === "lost") throw new ServiceError("not_found", "no such parcel", { metadata: { "x-why": "sunk" } });
  yield { step: 2, place: "SIN" };
}

async function* forever(signal: AbortSignal): AsyncGenerator<{ step: number; place: string }> {
  yield { step: 1, place: "HAM" };
  await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}
