import assert from "node:assert/strict";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { CancelContext, Context } from "../context/context.ts";
import { afterFunc, background, withCancel, withTimeout } from "../context/with.ts";
import type { ServiceError } from "../errors/service-error.ts";
import type { ContractTest } from "./balancer-contract.ts";
import { until } from "./discovery-recorder.ts";
import {
  failureOf,
  Handover,
  type Note,
  Notes,
  readAll,
  streamTest,
  type TransportBed,
  type TransportUnderTest,
} from "./transport-bed.ts";

const nothing = { n: 0, text: "" };
const many = Notes.methods.find(({ key }) => key === "many")!;

/** Resolves with the error of the context once it is done. */
function ended(ctx: Context): Promise<ServiceError> {
  return new Promise((resolve) => void afterFunc(ctx, () => resolve(ctx.err!)));
}

/** Messages of which the second never comes, in an iterator of somebody's own. */
class Stalling implements AsyncIterable<Note>, AsyncIterator<Note> {
  returned = 0;
  #asked = 0;
  #fail!: (error: Error) => void;

  next(): Promise<IteratorResult<Note>> {
    if (this.#asked++ === 0) return Promise.resolve({ done: false, value: nothing });
    return new Promise((_resolve, reject) => {
      this.#fail = reject;
    });
  }

  /** What was pending fails with it, as `events.on` has it; both failures are nobody's any more. */
  return(): Promise<IteratorResult<Note>> {
    this.returned++;
    this.#fail(new Error("left"));
    return Promise.reject(new Error("cannot be closed"));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** What is given up while somebody waits in it: answers by their reader, requests and a handler's answers by the end of their call. */
export function leavingTests(under: TransportUnderTest): ContractTest[] {
  let begun: Handover<Context>;
  const stalling = async function* (ctx: Context): AsyncGenerator<Note> {
    begun.set(ctx);
    yield nothing;
    throw await ended(ctx);
  };
  const silent = async function* (ctx: Context): AsyncGenerator<Note> {
    begun.set(ctx);
    await ended(ctx);
    yield nothing;
  };
  const afterBegun = (body: (bed: TransportBed) => Promise<void>): ((bed: TransportBed) => Promise<void>) => {
    return async (bed) => {
      begun = new Handover();
      await body(bed);
    };
  };
  const assertEnded = async ({ listening }: TransportBed): Promise<void> => {
    assert.equal((await ended(await begun.value)).code, "canceled");
    await until("no call is in flight", () => listening.inFlight === 0);
  };
  const requestsTest = (
    how: string,
    collect: (ctx: Context, requests: AsyncIterable<Note>) => Promise<Note>,
    call: (bed: TransportBed, requests: Stalling) => Promise<void>,
  ): ContractTest[] => {
    const name = `requests of which the next never comes are let go of, once, when ${how}`;
    return streamTest(
      name,
      under,
      () => ({ collect }),
      afterBegun(async (bed) => {
        const requests = new Stalling();
        await call(bed, requests);
        await until("the caller's iterator was told", () => requests.returned > 0);
        await until("no call is in flight", () => bed.listening.inFlight === 0);
        assert.equal(requests.returned, 1);
      }),
    );
  };
  const reading = async (ctx: Context, requests: AsyncIterable<Note>): Promise<Note> => {
    begun.set(ctx);
    await readAll(requests);
    return nothing;
  };

  /** A caller's, on a clock of its own: it passes when the handler has begun. */
  const deadline = (): { ctx: Context; pass: () => Promise<void> } => {
    const clock = new VirtualClock();
    const pass = async (): Promise<void> => {
      await begun.value;
      await clock.advance(5000);
    };
    return { ctx: withTimeout(background(clock), 5000), pass };
  };
  let answers: Stalling;
  const answering = (ctx: Context): Stalling => {
    begun.set(ctx);
    return (answers = new Stalling());
  };
  const assertLetGo = async (bed: TransportBed): Promise<void> => {
    await until("the handler's iterator was told", () => answers.returned > 0);
    await until("no call is in flight", () => bed.listening.inFlight === 0);
    assert.equal(answers.returned, 1);
    assert.deepEqual(bed.reported, []);
  };

  return [
    ...streamTest(
      "answers of which the next never comes are let go of, once, when the reader stops",
      under,
      () => ({ many: answering }),
      afterBegun(async (bed) => {
        for await (const note of bed.client.many(bed.ctx, nothing)) if (note.n === 0) break;
        await assertEnded(bed);
        await assertLetGo(bed);
      }),
    ),
    ...streamTest(
      "answers of which the next never comes are let go of, once, when the deadline passes",
      under,
      () => ({ many: answering }),
      afterBegun(async (bed) => {
        const { ctx, pass } = deadline();
        const failure = failureOf(readAll(bed.client.many(ctx, nothing)));
        await pass();
        assert.equal((await failure).code, "deadline_exceeded");
        await assertLetGo(bed);
      }),
    ),
    ...streamTest(
      "an answer that is given up before it is read ends the handler",
      under,
      () => ({ many: stalling }),
      afterBegun(async (bed) => {
        const answer = (await bed.connection.endpoint(many)(bed.ctx, nothing)) as AsyncIterable<Note>;
        const iterator = answer[Symbol.asyncIterator]();
        assert.equal((await iterator.return!()).done, true);
        await assertEnded(bed);
        assert.equal((await iterator.next()).done, true);
      }),
    ),
    ...streamTest(
      "an answer that is given up while its next message is waited for ends the wait and the handler",
      under,
      () => ({ many: stalling }),
      afterBegun(async (bed) => {
        const answer = (await bed.connection.endpoint(many)(bed.ctx, nothing)) as AsyncIterable<Note>;
        const iterator = answer[Symbol.asyncIterator]();
        await iterator.next();
        const waiting = iterator.next();
        assert.equal((await iterator.return!()).done, true);
        assert.equal((await waiting).done, true);
        await assertEnded(bed);
      }),
    ),
    ...streamTest(
      "a client's stream that is given up while its first message is waited for ends the wait and the handler",
      under,
      () => ({ many: silent }),
      afterBegun(async (bed) => {
        const iterator = bed.client.many(bed.ctx, nothing)[Symbol.asyncIterator]();
        const waiting = [iterator.next(), iterator.next()];
        await begun.value;
        assert.equal((await iterator.return!()).done, true);
        for (const one of waiting) assert.equal((await one).done, true);
        await assertEnded(bed);
      }),
    ),
    ...requestsTest(
      "the handler has answered",
      async (_ctx, requests) => {
        for await (const request of requests) return request;
        return nothing;
      },
      async ({ client, ctx }, requests) => assert.deepEqual(await client.collect(ctx, requests), nothing),
    ),
    ...requestsTest("the call is cancelled", reading, async ({ client, ctx }, requests) => {
      const call: CancelContext = withCancel(ctx);
      const failure = failureOf(client.collect(call, requests));
      await begun.value;
      call.cancel();
      assert.equal((await failure).code, "canceled");
      assert.equal((await ended(await begun.value)).code, "canceled", "it did not look like the end of the requests");
    }),
    ...requestsTest("its deadline passes", reading, async ({ client }, requests) => {
      const { ctx, pass } = deadline();
      const failure = failureOf(client.collect(ctx, requests));
      await pass();
      assert.equal((await failure).code, "deadline_exceeded");
    }),
    ...(under.bidi === false
      ? []
      : streamTest(
          "requests of which the next never comes are let go of, once, when the reader of the answers stops",
          under,
          () => ({
            async *chat(ctx, requests) {
              begun.set(ctx);
              yield* requests;
            },
          }),
          afterBegun(async (bed) => {
            const requests = new Stalling();
            for await (const note of bed.client.chat(bed.ctx, requests)) if (note.n === 0) break;
            await until("the caller's iterator was told", () => requests.returned > 0);
            await assertEnded(bed);
            assert.equal(requests.returned, 1);
          }),
        )),
  ];
}
