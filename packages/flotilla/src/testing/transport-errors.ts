import assert from "node:assert/strict";
import type { Code } from "../errors/code.ts";
import { codes } from "../errors/code.ts";
import { detailTypes, type ErrorInfo, errorInfo, findDetail } from "../errors/details.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { ContractTest } from "./balancer-contract.ts";
import {
  failureOf,
  type Note,
  notes,
  readAll,
  streamTest,
  type TransportUnderTest,
  transportTest,
} from "./transport-bed.ts";

const nothing = { n: 0, text: "" };

/** What crosses with an error, and what stays behind. */
export function errorTests(under: TransportUnderTest): ContractTest[] {
  const full = (): ServiceError =>
    new ServiceError("failed_precondition", "the hold is full: 0 left", {
      cause: new Error("secret cause"),
      details: [
        errorInfo({ reason: "HOLD_FULL", domain: "ships.example", metadata: { ship: "Ever Given" } }),
        { type: "ships.v1.Hold", value: { left: 0, tags: ["a", "b"] } },
      ],
      retry: { afterMs: 1500 },
      metadata: { "x-ship": "ever-given" },
    });
  const assertFull = (error: ServiceError): void => {
    assert.equal(error.code, "failed_precondition");
    assert.equal(error.message, "the hold is full: 0 left");
    assert.deepEqual(findDetail<ErrorInfo>(error, detailTypes.errorInfo), {
      reason: "HOLD_FULL",
      domain: "ships.example",
      metadata: { ship: "Ever Given" },
    });
    assert.deepEqual(findDetail(error, "ships.v1.Hold"), { left: 0, tags: ["a", "b"] });
    assert.equal(error.retry?.afterMs, 1500);
    assert.equal(error.metadata?.["x-ship"], "ever-given");
    assertNothingLeaks(error);
  };

  return [
    transportTest(
      "an error crosses with code, message, details, retry information and metadata; its cause and stack stay",
      under,
      () => ({
        one: () => {
          throw full();
        },
      }),
      async ({ client, ctx, reported }) => {
        assertFull(await failureOf(client.one(ctx, nothing)));
        assert.deepEqual(reported, []);
      },
    ),
    transportTest(
      "metadata of an error that cannot be a header is left out, and told once; the rest of it crosses",
      under,
      () => ({
        one: () => {
          const odd = { "x-lines": "a\r\nx-smuggled: 1", "x-text": "Ærø", "x two": "2" };
          throw new ServiceError("not_found", "no such ship", { metadata: { ...odd, "X-Ship": "ever-given" } });
        },
      }),
      async ({ client, ctx, reported }) => {
        const { code, message, metadata = {} } = await failureOf(client.one(ctx, nothing));
        assert.deepEqual([code, message, metadata["x-ship"]], ["not_found", "no such ship", "ever-given"]);
        for (const name of ["x-lines", "x-smuggled", "x-text", "x two"]) assert.equal(metadata[name], undefined, name);
        assert.equal(reported.length, 1);
        assert.match(reported[0]!.message, /"x-lines", "x-text", "x two"/);
      },
    ),
    ...streamTest(
      "an error inside a stream comes after the messages that were sent before it",
      under,
      () => ({
        async *many() {
          yield* notes(3);
          throw full();
        },
      }),
      async ({ client, ctx }) => {
        const got: Note[] = [];
        const error = await failureOf(
          (async () => {
            for await (const item of client.many(ctx, nothing)) got.push(item);
          })(),
        );
        assert.deepEqual(got, notes(3));
        assertFull(error);
      },
    ),
    transportTest(
      "each of the sixteen codes crosses",
      under,
      () => ({
        one: (_ctx, { text }) => {
          throw new ServiceError(text as Code, `it is ${text}`);
        },
      }),
      async ({ client, ctx }) => {
        for (const code of Object.keys(codes)) {
          const error = await failureOf(client.one(ctx, { n: 0, text: code }));
          assert.equal(error.code, code);
          assert.equal(error.message, `it is ${code}`);
        }
      },
    ),
    transportTest(
      "'never retry' crosses, 'unprocessed' does not",
      under,
      () => ({
        one: (_ctx, { n }) => {
          throw new ServiceError("unavailable", "busy", { retry: n === 1 ? { never: true } : { unprocessed: true } });
        },
      }),
      async ({ client, ctx }) => {
        assert.equal((await failureOf(client.one(ctx, { n: 1, text: "" }))).retry?.never, true);
        assert.equal((await failureOf(client.one(ctx, { n: 2, text: "" }))).retry?.unprocessed, undefined);
      },
    ),
    transportTest(
      "what is no ServiceError leaves as internal, its message kept for the server's own log",
      under,
      () => ({
        one: () => {
          throw new Error("secret: the password is hunter2");
        },
        async *many() {
          yield nothing;
          throw new Error("secret: the password is hunter2");
        },
      }),
      async ({ client, ctx, reported }) => {
        const failures = [failureOf(client.one(ctx, nothing))];
        if (under.streams !== false) failures.push(failureOf(readAll(client.many(ctx, nothing))));
        for (const failure of failures) {
          const error = await failure;
          assert.equal(error.code, "internal");
          assertNothingLeaks(error);
        }
        assert.deepEqual(
          reported.map(({ cause }) => (cause as Error).message),
          failures.map(() => "secret: the password is hunter2"),
        );
      },
    ),
    transportTest(
      "a response that has no form on the wire fails the call as internal, and is reported",
      under,
      () => ({ one: () => ({ n: 1, text: "", more: 1n }) }),
      async ({ client, ctx, reported }) => {
        assert.equal((await failureOf(client.one(ctx, nothing))).code, "internal");
        assert.equal(reported.length, 1);
      },
    ),
    transportTest(
      "a method that is not served is unimplemented",
      under,
      () => ({}),
      async ({ client, ctx }) => {
        assert.equal((await failureOf(client.one(ctx, nothing))).code, "unimplemented");
        assert.equal((await failureOf(readAll(client.many(ctx, nothing)))).code, "unimplemented");
      },
    ),
  ];
}

function assertNothingLeaks(error: ServiceError): void {
  const shown = JSON.stringify([error.message, error.details, error.metadata, String(error.cause)]);
  assert.ok(!shown.includes("secret"), `${shown} holds what should have stayed in the server`);
}
