import type { Profiles } from "@flotilla-examples/profilesvc/contract";
import type { Strings } from "@flotilla-examples/stringsvc/contract";
import type { Client, Implementation } from "flotilla/contract";
import type { Gateway } from "./contract.ts";

/** The gateway over the services behind it. The caller's deadline and trace go along with every call, since `ctx` does. */
export function gateway(
  profiles: Client<typeof Profiles>,
  strings: Client<typeof Strings>,
): Implementation<typeof Gateway> {
  return {
    signUp: (ctx, { id, name }) => profiles.create(ctx, { id, name }),
    async badge(ctx, { id }) {
      const { name } = await profiles.get(ctx, { id });
      const [badge, letters] = await Promise.all([
        strings.uppercase(ctx, { s: name }),
        strings.count(ctx, { s: name }),
      ]);
      return { badge: badge.v, letters: letters.v };
    },
  };
}
