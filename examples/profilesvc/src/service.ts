import type { Implementation } from "flotilla/contract";
import { ServiceError } from "flotilla/errors";
import type { Profile, Profiles } from "./contract.ts";
import type { ProfileStore } from "./store.ts";

/** The profile service over a store. */
export function profileService(store: ProfileStore): Implementation<typeof Profiles> {
  const existing = (id: string): Profile => {
    const profile = store.get(id);
    if (profile === undefined) throw new ServiceError("not_found", `there is no profile ${JSON.stringify(id)}`);
    return profile;
  };
  return {
    async create(_ctx, profile) {
      if (!store.insert(profile))
        throw new ServiceError("already_exists", `profile ${JSON.stringify(profile.id)} exists already`);
      return profile;
    },
    async get(_ctx, { id }) {
      return existing(id);
    },
    async list(_ctx, { after, limit }) {
      const profiles = store.page(after, limit + 1);
      const more = profiles.length > limit;
      if (more) profiles.pop();
      return { profiles, next: more ? profiles.at(-1)?.id : undefined };
    },
    async put(_ctx, profile) {
      store.put(profile);
      return profile;
    },
    async patch(_ctx, { id, ...changes }) {
      const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
      const profile = { ...existing(id), ...given };
      store.put(profile);
      return profile;
    },
    async remove(_ctx, { id }) {
      store.remove(id);
    },
  };
}
