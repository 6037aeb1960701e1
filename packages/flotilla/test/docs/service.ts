import { type Context, sleep } from "flotilla/context";
import type { Implementation, ReplyOf, RequestOf } from "flotilla/contract";
import { errorInfo, ServiceError } from "flotilla/errors";
import { serverCall } from "flotilla/metadata";
import type { Parcels } from "./contract.ts";

const places = ["HAM", "SIN", "RTM"];

export const parcels: Implementation<typeof Parcels> = {
  async send(ctx, { to, grams }) {
    if (grams > 30_000) {
      throw new ServiceError("failed_precondition", "a parcel has 30 kg at most", {
        details: [errorInfo({ reason: "TOO_HEAVY", domain: "post.example", metadata: { limit: "30000" } })],
      });
    }
    const call = serverCall(ctx); // undefined in a test that calls the handler as a function
    const tenant = call?.headers.get("x-tenant") ?? "nobody";
    call?.responseHeaders.set("x-depot", "HAM");
    call?.responseTrailers.set("x-cost", "549");
    return { id: `${tenant}-${to}` };
  },

  async *follow(ctx, { after }) {
    for (let step = after + 1; step <= places.length; step++) {
      await sleep(ctx, 5); // rejects when the caller has gone or the deadline has passed
      yield { step, place: places[step - 1]! };
    }
  },

  async weigh(_ctx, stream) {
    let grams = 0;
    for await (const parcel of stream) grams += parcel.grams;
    return { grams };
  },

  async *sort(_ctx, stream) {
    for await (const { id } of stream) yield { id, chute: id.length % 3 };
  },
};

export class Depot implements Implementation<typeof Parcels> {
  sent = 0;

  async send(_ctx: Context, { to }: RequestOf<typeof Parcels, "send">): Promise<ReplyOf<typeof Parcels, "send">> {
    return { id: `${to}-${++this.sent}` };
  }

  async *sort(_ctx: Context, stream: AsyncIterable<RequestOf<typeof Parcels, "sort">>) {
    for await (const { id } of stream) yield { id, chute: id.length % 3 };
  }

  follow = parcels.follow;
  weigh = parcels.weigh;
}
