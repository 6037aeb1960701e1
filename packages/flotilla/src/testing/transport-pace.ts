import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Context } from "../context/context.ts";
import { withTimeout } from "../context/with.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { ContractTest } from "./balancer-contract.ts";
import { until } from "./discovery-recorder.ts";
import { failureOf, Handover, type Note, notes, streamTest, type TransportUnderTest } from "./transport-bed.ts";
import { sumOf } from "./transport-calls.ts";

/** Messages of so many characters, and so many of them, are more than any buffer on the way may hold, compressed as well. */
const BULK = randomBytes(48 * 1024).toString("base64");
const MANY = 1024;
/** So many more come once the slow side goes on. */
const MORE = 50;
/** So many of so many characters fit into the buffers on the way, but not all where they are read from. */
const PART = BULK.slice(0, 16 * 1024);
const SOME = 12;

/** Streams of which one side is slower than the other. */
export function paceTests(under: TransportUnderTest): ContractTest[] {
  let produced: number;
  let count: number;
  let slow: Handover<void>;
  const waiting = () => ({
    async collect(ctx: Context, requests: AsyncIterable<Note>) {
      await slow.value;
      return sumOf(ctx, requests);
    },
  });
  return [
    ...streamTest(
      "a server stream waits for a slow reader",
      under,
      () => ({
        async *many() {
          while (produced < count) yield { n: ++produced, text: BULK };
        },
      }),
      async ({ client, ctx }) => {
        produced = 0;
        count = MANY;
        const stream = client.many(ctx, { n: 0, text: "" })[Symbol.asyncIterator]();
        assert.equal(((await stream.next()).value as Note).n, 1);
        await standsStill(() => produced);
        assert.ok(produced < MANY, "the whole stream is buffered");
        count = produced + MORE;
        for (let n = 2; n <= count; n++) assert.equal(((await stream.next()).value as Note).n, n);
        assert.equal((await stream.next()).done, true);
      },
    ),
    ...streamTest(
      "a slow reader has every message of a stream that ended meanwhile, then how it ended",
      under,
      () => ({
        async *many(_ctx, { n }) {
          for (const item of notes(SOME, PART)) {
            produced = item.n;
            yield item;
          }
          if (n !== 0) throw new ServiceError("aborted", "no more");
        },
      }),
      async ({ client, ctx }) => {
        for (const fails of [0, 1]) {
          produced = 0;
          const stream = client.many(ctx, { n: fails, text: "" })[Symbol.asyncIterator]();
          assert.equal(((await stream.next()).value as Note).n, 1);
          await standsStill(() => produced);
          for (let n = 2; n <= SOME; n++) assert.equal(((await stream.next()).value as Note)?.n, n);
          if (fails === 0) assert.equal((await stream.next()).done, true);
          else assert.equal((await failureOf(stream.next())).code, "aborted");
        }
      },
    ),
    ...streamTest(
      "a slow reader has every message of a stream whose server has drained and gone since",
      under,
      () => ({
        async *many() {
          for (const item of notes(SOME, PART)) {
            produced = item.n;
            yield item;
          }
        },
      }),
      async ({ client, ctx, listening }) => {
        produced = 0;
        const stream = client.many(ctx, { n: 0, text: "" })[Symbol.asyncIterator]();
        assert.equal(((await stream.next()).value as Note).n, 1);
        let gone = false;
        const drained = listening.drain().then(() => {
          gone = true;
        });
        // It may wait for the reader, and need not.
        await standsStill(() => Number(gone) + produced);
        for (let n = 2; n <= SOME; n++) assert.equal(((await stream.next()).value as Note)?.n, n);
        assert.equal((await stream.next()).done, true);
        await drained;
      },
    ),
    ...streamTest(
      "a slow handler has every message of a stream that ended meanwhile",
      under,
      waiting,
      async ({ client, ctx }) => {
        slow = new Handover();
        const sending = new Sending(SOME, PART);
        const answer = client.collect(ctx, sending.requests());
        await sending.stands();
        slow.set();
        assert.equal((await answer).n, (SOME * (SOME + 1)) / 2);
      },
    ),
    ...streamTest(
      "requests that a handler leaves unread hold up no later call",
      under,
      () => ({
        async collect(_ctx, requests) {
          for await (const request of requests) {
            await slow.value;
            return request;
          }
          return assert.fail("there are no requests");
        },
        one: (_ctx, request) => request,
      }),
      async ({ client, ctx }) => {
        for (let round = 0; round < 5; round++) {
          slow = new Handover();
          const sending = new Sending(SOME, PART);
          const answer = client.collect(ctx, sending.requests());
          await sending.stands();
          slow.set();
          await answer;
          assert.equal((await client.one(withTimeout(ctx, 2000), { n: round, text: PART })).n, round);
        }
      },
    ),
    ...streamTest("a client stream waits for a slow handler", under, waiting, async ({ client, ctx }) => {
      slow = new Handover();
      const sending = new Sending(MANY, BULK);
      const answer = client.collect(ctx, sending.requests());
      await sending.stands();
      assert.ok(sending.sent < MANY, "the whole stream is buffered");
      const count = sending.sent + MORE;
      sending.count = count;
      slow.set();
      assert.equal((await answer).n, (count * (count + 1)) / 2);
    }),
  ];
}

/** A client's stream of so many messages, and how far it has come. */
class Sending {
  sent = 0;
  count: number;
  readonly #text: string;

  constructor(count: number, text: string) {
    this.count = count;
    this.#text = text;
  }

  async *requests(): AsyncGenerator<Note> {
    while (this.sent < this.count) yield { n: ++this.sent, text: this.#text };
  }

  async stands(): Promise<void> {
    await until("something is sent", () => this.sent > 0);
    await standsStill(() => this.sent);
  }
}

/** Waits until a number has not changed for a while. */
async function standsStill(value: () => number): Promise<void> {
  let last = value();
  let same = 0;
  await until("the sender stands still", () => {
    same = value() === last ? same + 1 : 0;
    last = value();
    return same === 20;
  });
}
