import type { Instance } from "../endpoint/instance.ts";
import type { Instancer } from "./discovery.ts";

/**
 * Instances that are known beforehand, for any service asked about: addresses, or whole instances.
 *
 * @throws TypeError for an address that is no URL, or an id that stands twice.
 */
export function fixed(instances: readonly (string | Instance)[]): Instancer {
  const list = instances.map((item): Instance => (typeof item === "string" ? { id: item, address: item } : item));
  const ids = new Set<string>();
  for (const { id, address } of list) {
    if (URL.parse(address) === null)
      throw new TypeError(`fixed: address ${JSON.stringify(address)} must be a URL like http://127.0.0.1:8080`);
    if (ids.has(id)) throw new TypeError(`fixed: instance ${JSON.stringify(id)} stands twice`);
    ids.add(id);
  }
  const snapshot = Object.freeze(list.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)));
  return {
    watch(_service, observer) {
      let watching = true;
      queueMicrotask(() => {
        if (watching) observer.update(snapshot);
      });
      return {
        stop() {
          watching = false;
        },
      };
    },
  };
}
