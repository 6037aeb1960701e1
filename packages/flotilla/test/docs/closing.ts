import { EventEmitter, on } from "node:events";
import { background, type Context, sleep, withCancel } from "flotilla/context";
import type { Client, ReplyOf, RequestOf } from "flotilla/contract";
import type { Registrar } from "flotilla/discovery";
import { ServiceError } from "flotilla/errors";
import { http } from "flotilla/http";
import { host, implement } from "flotilla/service";
import { Parcels } from "./contract.ts";
import { parcels } from "./service.ts";

export const steps = new EventEmitter<{ step: [ReplyOf<typeof Parcels, "follow">] }>();

export function depot(register: Registrar) {
  const leaving = withCancel(background());

  async function* follow(ctx: Context, { after }: RequestOf<typeof Parcels, "follow">) {
    const signal = AbortSignal.any([ctx.signal, leaving.signal]);
    try {
      for await (const [step] of on(steps, "step", { signal })) if (step.step > after) yield step;
    } catch (error) {
      if (leaving.err !== undefined) throw new ServiceError("unavailable", "this depot closes: ask again");
      throw error;
    }
  }

  return host({
    name: "depot",
    serve: [implement(Parcels, { ...parcels, follow })],
    listen: [http()],
    register,
    onEvent({ event, message }) {
      if (event === "draining") leaving.cancel();
      console.error(message);
    },
  });
}

export async function* followed(ctx: Context, depot: Client<typeof Parcels>, id: string) {
  for (let after = 0; ; await sleep(ctx, 100)) {
    try {
      for await (const step of depot.follow(ctx, { id, after })) {
        after = step.step;
        yield step;
      }
      return;
    } catch (error) {
      if (ServiceError.from(error).code !== "unavailable") throw error;
    }
  }
}
