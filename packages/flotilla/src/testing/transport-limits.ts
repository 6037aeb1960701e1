import assert from "node:assert/strict";
import type { Context } from "../context/context.ts";
import { withTimeout } from "../context/with.ts";
import type { Implementation } from "../contract/contract.ts";
import type { ContractTest } from "./balancer-contract.ts";
import { until } from "./discovery-recorder.ts";
import {
  failureOf,
  Handover,
  type Note,
  type Notes,
  notes,
  readAll,
  streamOf,
  streamTest,
  type TransportBed,
  type TransportUnderTest,
  transportTest,
} from "./transport-bed.ts";

const MIB = 1024 * 1024;
/** For what stands around the text of a message, and beside the message where that counts. */
const ROOM = 4096;
/** Messages and calls that come after are small. */
const small = { n: 1, text: "small" };

/** Messages that are too large, the first of their call or a later one, either way. */
export function limitTests(under: TransportUnderTest): ContractTest[] {
  const limit = under.maxMessageBytes ?? 4 * MIB;
  const most = limit - ROOM;
  /** A little too large, and by far: some transports take in the one and not the other before they look. */
  const over = [limit, 4 * limit];
  let seen: number[];
  let ended: Handover<"whole" | "cut">;
  let go: Handover<void>;

  const methods = (): Partial<Implementation<typeof Notes>> => ({
    /** Answers with as long a text as it is told, at once unless the request says otherwise. */
    async one(_ctx, { n, text }) {
      seen.push(n);
      if (text === "wait") await go.value;
      return { n, text: "x".repeat(n) };
    },
    /** The third message is as large as it is told, and there is no end behind it. */
    async *many(ctx, { n }) {
      try {
        yield* notes(2);
        yield { n: 3, text: "x".repeat(n) };
        yield* endless(4, () => ctx.err === undefined);
      } finally {
        ended.set("cut");
      }
    },
    collect: reading,
    async *chat(ctx, requests) {
      yield* notes(2);
      yield await reading(ctx, requests);
    },
  });
  async function reading(_ctx: Context, requests: AsyncIterable<Note>): Promise<Note> {
    try {
      for await (const { n } of requests) seen.push(n);
      ended.set("whole");
    } catch (error) {
      ended.set("cut");
      throw error;
    }
    return small;
  }
  /** Runs the body for each size that is too large, and sees that nothing has come of it. */
  const eachOver = (body: (client: TransportBed["client"], ctx: Context, size: number) => Promise<void>) => {
    return async (bed: TransportBed): Promise<void> => {
      for (const size of over) {
        [seen, ended, go] = [[], new Handover(), new Handover()];
        const ctx = withTimeout(bed.ctx, 10_000);
        await body(bed.client, ctx, size);
        assert.deepEqual(await bed.client.one(ctx, small), { n: 1, text: "x" });
        await freed(bed);
      }
    };
  };
  const tooLarge = async (call: Promise<unknown>): Promise<void> => {
    const { code, message } = await failureOf(call);
    assert.equal(code, "resource_exhausted", message);
  };

  return [
    transportTest("a message just below the limit passes, either way", under, methods, async (bed) => {
      const { client, ctx } = bed;
      [seen, ended, go] = [[], new Handover(), new Handover()];
      const { text } = await client.one(ctx, { n: most, text: "x".repeat(most) });
      assert.equal(text.length, most);
      if (under.streams === false) return;
      for await (const { n, text } of client.many(ctx, { n: most, text: "" })) {
        if (n === 3) assert.equal(text.length, most);
        if (n > 3) break;
      }
      await client.collect(ctx, streamOf(notes(3, "x".repeat(most))));
      assert.deepEqual(seen, [most, 1, 2, 3]);
      await freed(bed);
    }),
    transportTest(
      "a request over the limit fails as resource_exhausted, and no handler sees it; what comes after works",
      under,
      methods,
      eachOver(async (client, ctx, size) => {
        await tooLarge(client.one(ctx, { n: 1, text: "x".repeat(size) }));
        assert.deepEqual(seen, []);
      }),
    ),
    transportTest(
      "an answer over the limit fails as resource_exhausted; what comes after works",
      under,
      methods,
      eachOver(async (client, ctx, size) => {
        await tooLarge(client.one(ctx, { n: size, text: "" }));
        assert.deepEqual(seen, [size], "the call is made once");
      }),
    ),
    transportTest(
      "a message over the limit fails its own call alone",
      under,
      methods,
      eachOver(async (client, ctx, size) => {
        const others = [2, 3, 4].map((n) => client.one(ctx, { n, text: "wait" }));
        await until("the others are in hand", () => seen.length === others.length);
        await Promise.all([
          tooLarge(client.one(ctx, { n: 1, text: "x".repeat(size) })),
          tooLarge(client.one(ctx, { n: size, text: "" })),
        ]);
        go.set();
        assert.deepEqual(
          (await Promise.all(others)).map(({ n }) => n),
          [2, 3, 4],
        );
      }),
    ),
    ...streamTest(
      "a message over the limit inside a server stream comes as resource_exhausted behind those before it, and ends the handler",
      under,
      methods,
      eachOver(async (client, ctx, size) => {
        const stream = client.many(ctx, { n: size, text: "" })[Symbol.asyncIterator]();
        for (let n = 1; n <= 2; n++) assert.equal(((await stream.next()).value as Note).n, n);
        await tooLarge(stream.next());
        assert.equal((await stream.next()).done, true);
        await ended.value;
      }),
    ),
    ...streamTest(
      "a message over the limit inside a client stream fails the call as resource_exhausted, and never ends well for its handler",
      under,
      methods,
      eachOver(async (client, ctx, size) => {
        const sending = new Sending(size);
        await tooLarge(client.collect(ctx, sending.requests()));
        assert.equal(await ended.value, "cut");
        assertBefore(seen);
        await sending.left.value;
      }),
    ),
    ...(under.bidi === false
      ? []
      : streamTest(
          "a request over the limit inside a bidi stream fails the call as resource_exhausted, and never ends well for its handler",
          under,
          methods,
          eachOver(async (client, ctx, size) => {
            const sending = new Sending(size);
            const stream = client.chat(ctx, sending.requests())[Symbol.asyncIterator]();
            await tooLarge(readAll({ [Symbol.asyncIterator]: () => stream }));
            assert.equal(await ended.value, "cut");
            assertBefore(seen);
            await sending.left.value;
          }),
        )),
  ];
}

/** The handler has seen of the first two what was there when the call ended, and nothing else. */
function assertBefore(seen: readonly number[]): void {
  assert.deepEqual(seen, [1, 2].slice(0, seen.length));
}

/** A caller's stream without end, whose third message is so large. */
class Sending {
  readonly left = new Handover<void>();
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  async *requests(): AsyncGenerator<Note> {
    try {
      yield* notes(2);
      yield { n: 3, text: "x".repeat(this.#size) };
      yield* endless(4, () => true);
    } finally {
      this.left.set();
    }
  }
}

async function* endless(from: number, wanted: () => boolean): AsyncGenerator<Note> {
  for (let n = from; wanted(); n++) {
    yield { n, text: "" };
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Waits until neither end holds anything of a call. */
async function freed({ listening, connection }: TransportBed): Promise<void> {
  await until("no call is in flight", () => listening.inFlight === 0);
  await until("no connection is held", () => {
    const pool = connection.poolState?.();
    return pool === undefined || (pool.waiting === 0 && pool.idle === pool.open);
  });
}
