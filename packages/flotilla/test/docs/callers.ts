import { background, type Context, withTimeout } from "flotilla/context";
import type { Client } from "flotilla/contract";
import { detailTypes, type ErrorInfo, findDetail, ServiceError } from "flotilla/errors";
import { httpClient } from "flotilla/http";
import { withHeaders, withResponseObserver } from "flotilla/metadata";
import { client } from "flotilla/service";
import { Parcels } from "./contract.ts";

export function depotAt(address: string) {
  const depot = client(Parcels, { discover: [address], transport: httpClient({ http2: true }) });
  return depot;
}

export async function track(depot: Client<typeof Parcels>, id: string): Promise<void> {
  const ctx = withTimeout(background(), 2000);
  try {
    for await (const { step, place } of depot.follow(ctx, { id })) {
      console.log(step, place);
      if (place === "SIN") break; // cancels the handler
    }
  } finally {
    ctx.cancel();
  }
}

export async function weighAndSort(depot: Client<typeof Parcels>, ctx: Context): Promise<void> {
  async function* loaded() {
    yield { grams: 500 };
    yield { grams: 700 };
  }
  console.log(await depot.weigh(ctx, loaded())); // { grams: 1200 }

  async function* arrived() {
    yield { id: "P7" };
  }
  for await (const { id, chute } of depot.sort(ctx, arrived())) console.log(id, chute);
}

export async function send(depot: Client<typeof Parcels>, ctx: Context): Promise<void> {
  const withTenant = withHeaders(ctx, { "x-tenant": "acme" });
  const observed = withResponseObserver(withTenant, (headers, trailers) => {
    console.log(headers.get("x-depot"), trailers.get("x-cost"));
  });
  console.log(await depot.send(observed, { to: "Rotterdam", grams: 500 }));
}

export async function sendHeavy(depot: Client<typeof Parcels>, ctx: Context): Promise<void> {
  try {
    await depot.send(ctx, { to: "Rotterdam", grams: 50_000 });
  } catch (error) {
    if (!(error instanceof ServiceError) || error.reason !== "TOO_HEAVY") throw error;
    const info = findDetail<ErrorInfo>(error, detailTypes.errorInfo);
    console.log(error.code, info?.metadata?.["limit"]); // failed_precondition 30000
  }
}
