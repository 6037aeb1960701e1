// The service of the mixed calls: what it does is what it is asked for.
import { z } from "zod";
import type { Context } from "../../context/context.ts";
import { sleep } from "../../context/sleep.ts";
import { afterFunc } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { bidiStream, clientStream, serverStream, unary } from "../../contract/method.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { serverCall } from "../../metadata/call.ts";
import { OVERLOADED, refusal } from "../../resilience/refusal.ts";
import { implement } from "../implement.ts";

/** What a handler does after so many messages; the first three say nothing. */
export const fates = ["refused", "broken", "silent", "ok", "ok", "ok", "fails", "hangs", "endless", "cut"] as const;

const message = z.object({ n: z.number(), fate: z.enum(fates) });
/** What is asked for, and answered. */
export type Message = z.infer<typeof message>;
export const Mixed = contract("mixed.v1.Mixed", {
  one: unary({ input: message, output: message, idempotent: true }),
  many: serverStream({ input: message, output: message, idempotent: true }),
  collect: clientStream({ input: message, output: message }),
  chat: bidiStream({ input: message, output: message }),
});
/** An ordinary request. */
export const well: Message = { n: 2, fate: "ok" };

/** Rejects when the context ends. */
export const end = (ctx: Context): Promise<never> =>
  new Promise((_, reject) => void afterFunc(ctx, () => reject(ctx.err!)));

async function* answers(ctx: Context, { n, fate }: Message): AsyncGenerator<Message> {
  if (fate === "refused") throw refusal("unavailable", OVERLOADED, "too much", {});
  if (fate === "broken") throw new ServiceError("unavailable", "broken");
  if (fate === "silent") await end(ctx);
  for (let i = 0; i < n; i++) yield { n: i, fate };
  if (fate === "fails") throw new ServiceError("internal", "in the middle");
  if (fate === "hangs") await end(ctx);
  if (fate === "endless") {
    for (let i = n; ; i++) {
      await sleep(ctx, 1);
      yield { n: i, fate };
    }
  }
  if (fate === "cut") {
    serverCall(ctx)?.cut?.(new ServiceError("unavailable", "cut"));
    await end(ctx);
  }
}

/** The last message of a stream. */
export async function last(stream: AsyncIterable<Message>): Promise<Message> {
  let found = well;
  for await (const each of stream) found = each;
  return found;
}

/** Answers by what it is told first, whether it reads on or not. */
async function* answersTo(ctx: Context, requests: AsyncIterable<Message>): AsyncGenerator<Message> {
  for await (const request of requests) {
    yield* answers(ctx, request);
    if (request.n === 1) return;
  }
}

/** Does as each request says. */
export const handlers = () =>
  implement(Mixed, {
    one: (ctx, request) => last(answers(ctx, request.fate === "endless" ? well : request)),
    many: answers,
    collect: (ctx, requests) => last(answersTo(ctx, requests)),
    chat: answersTo,
  });
