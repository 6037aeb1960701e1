import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Context } from "../context/context.ts";
import { afterFunc, withTimeout } from "../context/with.ts";
import type { Client, Implementation } from "../contract/contract.ts";
import type { ServiceError } from "../errors/service-error.ts";
import { stub } from "../service/stub.ts";
import type { ContractTest } from "./balancer-contract.ts";
import { until } from "./discovery-recorder.ts";
import { faultProxy } from "./fault-proxy.ts";
import type { ProxyFault } from "./proxy-fault.ts";
import {
  failureOf,
  Handover,
  type Note,
  Notes,
  notes,
  readAll,
  streamOf,
  type TransportUnderTest,
  transportTest,
} from "./transport-bed.ts";

/** More than buffers on the way hold, compressed as well. */
const BULK = randomBytes(384 * 1024).toString("base64");
const PART = BULK.slice(0, 16 * 1024);
/** A call hears of its lost connection within so much, milliseconds; its deadline is far behind. */
const PROMPT_MS = 2000;
const DEADLINE_MS = 15_000;
/** Where a connection is cut: before anything has come of what is under way, within the first bytes of it, in the middle. */
const PLACES = [0, 10, 100_000];
const ENDINGS = ["abort", "reset"] as const;

/** A client whose connections are cut. */
interface Cutting {
  readonly client: Client<typeof Notes>;
  readonly ctx: Context;
  /** Cuts them, at once or after so many bytes. */
  readonly cut: (where?: Pick<ProxyFault, "direction" | "afterBytes">) => void;
  /** Calls work again, as does whatever the last cut has left. */
  readonly recovers: () => Promise<void>;
}

/** Connections that are cut under calls, closed or reset, by a proxy in between. */
export function lossTests(under: TransportUnderTest): ContractTest[] {
  if (under.tcp === false) return [];
  let handlers: Context[];
  let begun: Handover<void>;
  let go: Handover<void>;
  let outcome: Handover<"whole" | "cut">;
  /** Generators that were left, of callers and handlers. */
  let left: number;

  async function* endless(): AsyncGenerator<Note> {
    try {
      for (let n = 1; ; n++) yield { n, text: PART };
    } finally {
      left++;
    }
  }
  async function* stalling(end: () => Promise<never>): AsyncGenerator<Note> {
    yield { n: 1, text: "" };
    await end();
  }
  const begin = (ctx: Context): void => {
    handlers.push(ctx);
    begun.set();
  };
  async function read(requests: AsyncIterable<Note>): Promise<void> {
    try {
      await inOrder(requests);
      outcome.set("whole");
    } catch {
      outcome.set("cut");
    }
  }
  const methods = (): Partial<Implementation<typeof Notes>> => ({
    async one(ctx, request) {
      if (request.n === 0) return request;
      begin(ctx);
      await Promise.race([go.value, ended(ctx)]);
      return { n: 1, text: BULK };
    },
    many(ctx, { n, text }) {
      if (n === 0) return streamOf(notes(3));
      begin(ctx);
      return text === "idle" ? stalling(() => ended(ctx)) : endless();
    },
    async collect(ctx, requests) {
      begin(ctx);
      await read(requests);
      return { n: 1, text: "" };
    },
    chat(ctx, requests) {
      begin(ctx);
      void read(requests);
      return endless();
    },
  });

  /** Runs the body for either way in which a connection ends. */
  const lossTest = (name: string, body: (cutting: Cutting) => Promise<void>): ContractTest =>
    transportTest(name, under, methods, async (bed) => {
      const proxy = await faultProxy({ to: bed.listening.address });
      const connection = under.connector().connect(proxy.address);
      const client = stub(Notes, (method) => connection.endpoint(method));
      try {
        await works(client, withTimeout(bed.ctx, DEADLINE_MS));
        for (const ending of ENDINGS) {
          const ctx = withTimeout(bed.ctx, DEADLINE_MS);
          [handlers, left] = [[], 0];
          [begun, go, outcome] = [new Handover(), new Handover(), new Handover()];
          await body({
            client,
            ctx,
            cut: (where) => void proxy.inject({ ...where, [ending]: true }),
            async recovers() {
              await until("the connection is cut", () => proxy.active.every(({ hits }) => hits > 0));
              await turns();
              await proxy.heal();
              await works(client, ctx);
              if (under.streams !== false)
                assert.deepEqual(await readAll(client.many(ctx, { n: 0, text: "" })), notes(3));
              await until("the handlers' contexts are done", () => handlers.every(({ err }) => err !== undefined));
              await until("no call is in flight", () => bed.listening.inFlight === 0);
            },
          });
        }
        await connection.close();
        await until("every connection is closed", () => proxy.counts.open === 0);
      } finally {
        await connection.close();
        await proxy.close();
      }
    });
  const streams = under.streams === false ? () => [] : (...test: Parameters<typeof lossTest>) => [lossTest(...test)];
  const bidi = under.bidi === false ? () => [] : streams;

  return [
    lossTest("a connection that is lost while idle costs no call", async ({ cut, recovers }) => {
      cut();
      await recovers();
    }),
    lossTest(
      "a connection that is lost inside a request fails the call as unavailable, and no handler sees half of it",
      async ({ client, ctx, cut, recovers }) => {
        for (const afterBytes of PLACES) {
          cut({ direction: "toServer", afterBytes });
          await lost(failureOf(client.one(ctx, { n: 1, text: BULK })), ctx);
          assert.equal(handlers.length, 0);
          await recovers();
        }
      },
    ),
    lossTest(
      "a connection that is lost while handlers work fails their calls as unavailable, and cancels the handlers",
      async ({ client, ctx, cut, recovers }) => {
        const calls = notes(20).map((request) => failureOf(client.one(ctx, request)));
        await until("all are in hand", () => handlers.length === calls.length);
        cut();
        for (const call of calls) assertMade(await lost(call, ctx));
        await recovers();
        assert.equal(handlers.length, calls.length, "each call is made once");
      },
    ),
    lossTest(
      "a connection that is lost inside an answer fails the call as unavailable; it is not made again",
      async ({ client, ctx, cut, recovers }) => {
        for (const afterBytes of PLACES) {
          [handlers, begun, go] = [[], new Handover(), new Handover()];
          const call = failureOf(client.one(ctx, { n: 1, text: "" }));
          await begun.value;
          cut({ direction: "toClient", afterBytes });
          go.set();
          assertMade(await lost(call, ctx));
          await recovers();
          assert.equal(handlers.length, 1);
        }
      },
    ),
    ...streams(
      "a connection that is lost under an idle server stream fails its reader as unavailable, and cancels the handler",
      async ({ client, ctx, cut, recovers }) => {
        const stream = client.many(ctx, { n: 1, text: "idle" })[Symbol.asyncIterator]();
        assert.equal(((await stream.next()).value as Note).n, 1);
        const next = failureOf(stream.next());
        cut();
        assertMade(await lost(next, ctx));
        await recovers();
      },
    ),
    ...streams(
      "a connection that is lost inside a server stream fails its reader as unavailable behind what came, and ends the handler",
      async ({ client, ctx, cut, recovers }) => {
        cut({ direction: "toClient", afterBytes: 100_000 });
        await lost(failureOf(inOrder(client.many(ctx, { n: 1, text: "" }))), ctx);
        await recovers();
        await until("the handler's generator is closed", () => left === 1);
      },
    ),
    ...streams(
      "a connection that is lost under an idle client stream fails the call as unavailable, and never ends well for its handler",
      async ({ client, ctx, cut, recovers }) => {
        const call = failureOf(
          client.collect(
            ctx,
            stalling(() => new Promise(() => {})),
          ),
        );
        await begun.value;
        cut();
        assertMade(await lost(call, ctx));
        await recovers();
        assert.equal(await outcome.value, "cut");
      },
    ),
    ...streams(
      "a connection that is lost inside a client stream fails the call as unavailable, and never ends well for its handler",
      async ({ client, ctx, cut, recovers }) => {
        const call = failureOf(client.collect(ctx, endless()));
        await begun.value;
        cut({ direction: "toServer", afterBytes: 100_000 });
        assertMade(await lost(call, ctx));
        await recovers();
        assert.equal(await outcome.value, "cut");
        await until("the caller's generator is closed", () => left === 1);
      },
    ),
    ...bidi(
      "a connection that is lost inside a bidi stream fails the call as unavailable, and ends all that it reads and writes",
      async ({ client, ctx, cut, recovers }) => {
        cut({ afterBytes: 200_000 });
        await lost(failureOf(inOrder(client.chat(ctx, endless()))), ctx);
        await recovers();
        assert.equal(await outcome.value, "cut");
        await until("both generators are closed", () => left === 2);
      },
    ),
  ];
}

/** The failure of a call whose connection was cut: it must be `unavailable`, and come soon. */
async function lost(failure: Promise<ServiceError>, { clock }: Context): Promise<ServiceError> {
  const startedMs = clock.now();
  const error = await failure;
  assert.equal(error.code, "unavailable", error.message);
  const took = clock.now() - startedMs;
  assert.ok(took < PROMPT_MS, `that took ${took} ms`);
  return error;
}

/** A handler was called: the error must not say that another attempt does nothing twice. */
function assertMade(error: ServiceError): void {
  assert.notEqual(error.retry?.unprocessed, true, error.message);
}

async function inOrder(stream: AsyncIterable<Note>): Promise<void> {
  let last = 0;
  for await (const { n } of stream) assert.equal(n, ++last);
}

/** Calls work: the first, or one after some that say that they were not made, while the connection is opened again. */
async function works(client: Client<typeof Notes>, ctx: Context): Promise<void> {
  for (;;) {
    try {
      await client.one(ctx, { n: 0, text: "" });
      return;
    } catch (error) {
      if ((error as ServiceError).retry?.unprocessed !== true) throw error;
    }
    await turns();
  }
}

/** As many turns of the event loop as an end of this process' own connections takes to arrive. */
async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}

function ended(ctx: Context): Promise<never> {
  return new Promise((_resolve, reject) => void afterFunc(ctx, () => reject(ctx.err!)));
}
