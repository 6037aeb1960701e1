import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { background, withCancel } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { serverStream, unary } from "../contract/method.ts";
import type { Endpoint, Middleware } from "../endpoint/endpoint.ts";
import type { Code } from "../errors/code.ts";
import { ServiceError } from "../errors/service-error.ts";
import { fallback } from "./fallback.ts";

const Books = contract("a.Books", {
  liked: unary({ input: z.object({ user: z.string() }), output: z.object({ titles: z.array(z.string()) }) }),
  all: serverStream({ input: z.object({}), output: z.object({ title: z.string() }) }),
  count: unary({ input: z.object({}), output: z.object({ n: z.number() }) }),
});
const [liked, , count] = Books.methods;
const ctx = background(new VirtualClock());
const failing =
  (code: Code): Endpoint =>
  async () => {
    throw new ServiceError(code, "broken");
  };
const codeOf = (pending: Promise<unknown>): Promise<string> =>
  pending.then(
    () => "ok",
    (error: unknown) => ServiceError.from(error).code,
  );

test("a failure is answered in the place of the service, and counted", async () => {
  const seen: string[] = [];
  const middleware = fallback(
    Books,
    { liked: (_ctx, { user }, error) => ({ titles: [`bestseller for ${user} (${error.code})`] }) },
    { onFallback: (error, { key }) => seen.push(`${key}: ${error.code}`) },
  );
  const call = middleware(failing("unavailable"), liked!);
  assert.deepEqual(await call(ctx, { user: "Ada" }), { titles: ["bestseller for Ada (unavailable)"] });
  assert.equal(middleware.used, 1);
  assert.deepEqual(seen, ["liked: unavailable"]);
});

test("what the caller did wrong is still its fault, unless told otherwise", async () => {
  const answers = { liked: () => ({ titles: [] }) };
  assert.equal(await codeOf(fallback(Books, answers)(failing("not_found"), liked!)(ctx, {})), "not_found");
  const always = fallback(Books, answers, { when: ({ code }) => code === "not_found" });
  assert.equal(await codeOf(always(failing("not_found"), liked!)(ctx, {})), "ok");
  assert.equal(await codeOf(always(failing("unavailable"), liked!)(ctx, {})), "unavailable");
});

test("nobody waits for the answer to a call that is over", async () => {
  const middleware = fallback(Books, { liked: () => ({ titles: [] }) });
  const scope = withCancel(ctx);
  const call = middleware(async () => {
    scope.cancel();
    throw new ServiceError("unavailable", "broken");
  }, liked!);
  assert.equal(await codeOf(call(scope, {})), "unavailable");
  assert.equal(middleware.used, 0);
});

test("what the fallback throws, the caller is told", async () => {
  const middleware = fallback(Books, {
    liked: async () => {
      throw new ServiceError("failed_precondition", "nothing left");
    },
  });
  assert.equal(await codeOf(middleware(failing("internal"), liked!)(ctx, {})), "failed_precondition");
});

test("other methods are left as they are", () => {
  const endpoint: Endpoint = async () => undefined;
  const middleware: Middleware = fallback(Books, { liked: () => ({ titles: [] }) });
  assert.equal(middleware(endpoint, count!), endpoint);
  const other = contract("a.Films", { liked: unary({ input: z.object({}), output: z.object({}) }) });
  assert.equal(middleware(endpoint, other.methods[0]!), endpoint);
});

test("what cannot be answered so is named, by the types and at run time", () => {
  // @ts-expect-error: there is no such method
  assert.throws(() => fallback(Books, { lent: () => ({}) }), /a\.Books has no method "lent"/);
  // @ts-expect-error: it streams
  assert.throws(() => fallback(Books, { all: () => ({ title: "" }) }), /a\.Books\/all streams/);
  // @ts-expect-error: titles are missing
  fallback(Books, { liked: () => ({}) });
});
