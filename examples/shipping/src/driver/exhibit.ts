import { dayMs, toIso } from "../kernel/time.ts";
import type { WireLeg } from "../kernel/wire.ts";
import type { Api } from "./api.ts";
import { reportsFor } from "./customer.ts";

/** Books a cargo from Hong Kong to Rotterdam and has it loaded, so that there is one at sea to look at. Gives its tracking id. */
export async function exhibit(api: Api, now: number): Promise<string> {
  const order = { origin: "HKHKG", destination: "NLRTM", deadline: toIso(now + 120 * dayMs) };
  const { trackingId } = await api.send<{ trackingId: string }>("POST", "/cargos", order, 201);
  const path = `/cargos/${trackingId}`;
  const { routes } = await api.send<{ routes: { legs: WireLeg[] }[] }>("GET", `${path}/routes`, undefined, 200);
  const legs = routes[0]?.legs ?? [];
  await api.send("POST", `${path}/route`, { legs }, 200);
  for (const report of reportsFor(trackingId, legs).slice(0, 2))
    await api.send("POST", "/handling-events", report, 201);
  return trackingId;
}

/** Three things to try, once the system runs. */
export function invitations(gateway: string, trackingId: string, now: number): string[] {
  const deadline = `${toIso(now + 90 * dayMs).slice(0, 10)}T00:00:00Z`;
  return [
    `curl '${gateway}/ports?query=rotterdam'`,
    `curl ${gateway}/tracking/${trackingId}`,
    `curl ${gateway}/cargos --json '{"origin":"CNSHA","destination":"DEHAM","deadline":"${deadline}"}'`,
  ];
}
