import assert from "node:assert/strict";
import type { Context } from "../context/context.ts";
import type { BadRequest } from "../errors/details.ts";
import { detailTypes, findDetail } from "../errors/details.ts";
import type { ContractTest } from "./balancer-contract.ts";
import { until } from "./discovery-recorder.ts";
import {
  failureOf,
  Handover,
  type Note,
  notes,
  readAll,
  streamOf,
  streamTest,
  type TransportUnderTest,
  transportTest,
} from "./transport-bed.ts";

/** A handler that adds up what comes. */
export async function sumOf(_ctx: Context, requests: AsyncIterable<Note>): Promise<Note> {
  let n = 0;
  for await (const request of requests) n += request.n;
  return { n, text: "" };
}

/** The four kinds of method, and messages. */
export function callTests(under: TransportUnderTest): ContractTest[] {
  const oneWay = [
    transportTest(
      "unary: the answer is the handler's, whatever the text",
      under,
      () => ({ one: (_ctx, { n, text }) => ({ n: n * 2, text: Array.from(text).toReversed().join("") }) }),
      async ({ client, ctx }) => {
        assert.deepEqual(await client.one(ctx, { n: 21, text: 'añ😀"\\\u2028' }), { n: 42, text: '\u2028\\"😀ña' });
        const text = "ü".repeat(300_000);
        assert.deepEqual(await client.one(ctx, { n: -0.5, text }), { n: -1, text });
      },
    ),
    transportTest(
      "unary: answers find their calls",
      under,
      () => ({ one: async (_ctx, { n }) => ({ n, text: `answer ${n}` }) }),
      async ({ client, ctx, listening }) => {
        const answers = await Promise.all(notes(100).map((request) => client.one(ctx, request)));
        assert.deepEqual(
          answers,
          notes(100).map(({ n }) => ({ n, text: `answer ${n}` })),
        );
        await until("no call is in flight", () => listening.inFlight === 0);
      },
    ),
    transportTest(
      "messages are copies: neither side sees what the other does to them",
      under,
      () => {
        const kept = { n: 1, text: "kept" };
        return {
          one(_ctx, request) {
            (request as { text: string }).text = "changed by the handler";
            return kept;
          },
        };
      },
      async ({ client, ctx }) => {
        const request = { n: 1, text: "mine" };
        const first = (await client.one(ctx, request)) as { text: string };
        assert.equal(request.text, "mine");
        first.text = "changed by the client";
        assert.deepEqual(await client.one(ctx, request), { n: 1, text: "kept" });
      },
    ),
    transportTest(
      "a request that contradicts the contract is refused, each field named, and the handler not called",
      under,
      () => ({ one: () => assert.fail("called") }),
      async ({ client, ctx }) => {
        const error = await failureOf(client.one(ctx, { n: "1" } as unknown as Note));
        assert.equal(error.code, "invalid_argument");
        assert.deepEqual(findDetail<BadRequest>(error, detailTypes.badRequest)?.fieldViolations, [
          { field: "n", description: "expected a number" },
          { field: "text", description: "expected a string" },
        ]);
      },
    ),
    ...streamTest(
      "server stream: every message, in order; an empty stream too",
      under,
      () => ({ many: (_ctx, { n }) => streamOf(notes(n)) }),
      async ({ client, ctx, listening }) => {
        assert.deepEqual(await readAll(client.many(ctx, { n: 500, text: "" })), notes(500));
        assert.deepEqual(await readAll(client.many(ctx, { n: 0, text: "" })), []);
        await until("no call is in flight", () => listening.inFlight === 0);
      },
    ),
    ...streamTest(
      "server stream: messages arrive as they are sent",
      under,
      () => ({
        async *many(ctx) {
          yield { n: 1, text: "" };
          await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
        },
      }),
      async ({ client, ctx }) => {
        for await (const { n } of client.many(ctx, { n: 0, text: "" })) {
          assert.equal(n, 1);
          break;
        }
      },
    ),
    ...streamTest(
      "client stream: one answer to many messages, or to none",
      under,
      () => ({ collect: sumOf }),
      async ({ client, ctx }) => {
        assert.equal((await client.collect(ctx, streamOf(notes(500)))).n, 125_250);
        assert.equal((await client.collect(ctx, streamOf([]))).n, 0);
      },
    ),
  ];
  if (under.streams === false) return [...oneWay, refusalTest(under)];
  return under.bidi === false ? oneWay : [...oneWay, ...bidiTests(under)];
}

function refusalTest(under: TransportUnderTest): ContractTest {
  return transportTest(
    "a method that streams is refused at the call as unimplemented, and the handler not called",
    under,
    () => ({
      many: () => assert.fail("called"),
      collect: () => assert.fail("called"),
      chat: () => assert.fail("called"),
    }),
    async ({ client, ctx }) => {
      for (const call of [
        readAll(client.many(ctx, { n: 0, text: "" })),
        client.collect(ctx, streamOf([])),
        readAll(client.chat(ctx, streamOf([]))),
      ]) {
        const error = await failureOf(call);
        assert.equal(error.code, "unimplemented");
        assert.match(error.message, /^flotilla\.testing\.v1\.Notes\/\w+ streams/, "it says why");
      }
    },
  );
}

function bidiTests(under: TransportUnderTest): ContractTest[] {
  return [
    transportTest(
      "bidi stream: each answer may wait for its question, each question for the last answer",
      under,
      () => ({
        async *chat(_ctx, requests) {
          for await (const { n } of requests) yield { n: n * 10, text: "" };
        },
      }),
      async ({ client, ctx }) => {
        let answered = new Handover<void>();
        const questions = async function* (): AsyncGenerator<Note> {
          for (const question of notes(20)) {
            yield question;
            await answered.value;
            answered = new Handover();
          }
        };
        const answers: number[] = [];
        for await (const { n } of client.chat(ctx, questions())) {
          answers.push(n);
          answered.set();
        }
        assert.deepEqual(
          answers,
          notes(20).map(({ n }) => n * 10),
        );
      },
    ),
    transportTest(
      "bidi stream: the two directions are independent",
      under,
      () => ({
        async *chat(_ctx, requests) {
          yield* notes(3);
          yield { n: (await readAll(requests)).length, text: "" };
        },
      }),
      async ({ client, ctx }) => {
        const early = new Handover<void>();
        const requests = async function* (): AsyncGenerator<Note> {
          // Nothing is sent before three answers are there.
          await early.value;
          yield* notes(7);
        };
        const answers: number[] = [];
        for await (const { n } of client.chat(ctx, requests())) if (answers.push(n) === 3) early.set();
        assert.deepEqual(answers, [1, 2, 3, 7]);
      },
    ),
    transportTest(
      "bidi stream: a handler that wants no more ends the caller's stream",
      under,
      () => ({
        async *chat(_ctx, requests) {
          for await (const request of requests) {
            yield request;
            if (request.n === 3) return;
          }
        },
      }),
      async ({ client, ctx }) => {
        let left = false;
        const endless = async function* (): AsyncGenerator<Note> {
          try {
            for (let n = 1; ; n++) {
              yield { n, text: "" };
              await new Promise((resolve) => setImmediate(resolve));
            }
          } finally {
            left = true;
          }
        };
        assert.deepEqual(await readAll(client.chat(ctx, endless())), notes(3));
        await until("the caller's generator is closed", () => left);
      },
    ),
  ];
}
