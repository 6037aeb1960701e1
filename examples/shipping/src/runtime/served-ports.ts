import type { Context } from "flotilla/context";
import type { Client } from "flotilla/contract";
import type { UnLocode } from "../kernel/un-locode.ts";
import type { Routing } from "../routing/contract.ts";

/** Tells which ports are served: asks routing once, and knows from then on, for the ports do not change while it runs. */
export type ServedPorts = (ctx: Context) => Promise<ReadonlySet<UnLocode>>;

/** Served ports as routing tells them. A failure is not remembered: the next call asks again. */
export function servedPorts(routing: Pick<Client<typeof Routing>, "ports">): ServedPorts {
  let known: ReadonlySet<UnLocode> | undefined;
  return async (ctx) => {
    if (known !== undefined) return known;
    const { ports } = await routing.ports(ctx, { limit: 500 });
    known = new Set(ports.map((port) => port.code));
    return known;
  };
}
