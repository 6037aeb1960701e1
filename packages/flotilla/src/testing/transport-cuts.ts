import assert from "node:assert/strict";
import { sleep } from "../context/sleep.ts";
import { background, withCancel, withTimeout } from "../context/with.ts";
import type { ContractTest } from "./balancer-contract.ts";
import { until } from "./discovery-recorder.ts";
import { Handover, type Note, streamTest, type TransportBed, type TransportUnderTest } from "./transport-bed.ts";

const nothing = { n: 0, text: "" };

/** What makes an end of the caller's messages that is none. */
interface Cut {
  readonly by: string;
  /** Begins a call that sends what `requests` makes; resolves when the call is over. */
  readonly call: (
    bed: TransportBed,
    requests: (never: () => Promise<never>) => AsyncIterable<Note>,
    heard: Promise<void>,
  ) => Promise<unknown>;
}

/** Half a stream never looks like a whole one: a handler that takes it for that acts on what its caller has taken back. */
export function cutTests(under: TransportUnderTest): ContractTest[] {
  let heard: Handover<void>;
  let outcome: Handover<"whole" | "cut">;
  /** Whether the handler reads on only when the caller has given up. */
  let late: boolean;

  const forever = new Promise<never>(() => {});
  const cuts: Cut[] = [
    {
      by: "its caller's own failure",
      call: ({ client, ctx }, requests, heard) =>
        client.collect(
          ctx,
          requests(async () => {
            await heard;
            throw new Error("my own stream broke");
          }),
        ),
    },
    {
      by: "cancellation",
      call: async ({ client, ctx }, requests, heard) => {
        const call = withCancel(ctx);
        void heard.then(() => call.cancel());
        await client.collect(
          call,
          requests(() => forever),
        );
      },
    },
    {
      by: "the deadline",
      call: ({ client, ctx }, requests) =>
        client.collect(
          withTimeout(ctx, 200),
          requests(() => forever),
        ),
    },
    {
      by: "the end of the connection",
      call: ({ client, ctx, connection }, requests, heard) => {
        void heard.then(() => connection.close());
        return client.collect(
          ctx,
          requests(() => forever),
        );
      },
    },
  ];
  return cuts.flatMap(({ by, call }) =>
    streamTest(
      `a client stream that is cut short by ${by} never ends well for its handler`,
      under,
      () => ({
        async collect(_ctx, requests) {
          const messages = requests[Symbol.asyncIterator]();
          try {
            for (let n = 1; n <= 2; n++) assert.equal(((await messages.next()).value as Note).n, n);
            heard.set();
            if (late) await sleep(background(), 300);
            outcome.set((await messages.next()).done === true ? "whole" : "cut");
          } catch {
            outcome.set("cut");
          }
          return nothing;
        },
      }),
      async (bed) => {
        for (late of [false, true]) {
          heard = new Handover();
          outcome = new Handover();
          const requests = async function* (never: () => Promise<never>): AsyncGenerator<Note> {
            yield { n: 1, text: "" };
            yield { n: 2, text: "" };
            await never();
          };
          await assert.rejects(call(bed, requests, heard.value));
          assert.equal(await outcome.value, "cut");
          await until("no call is in flight", () => bed.listening.inFlight === 0);
          if (by === "the end of the connection") return;
        }
      },
    ),
  );
}
