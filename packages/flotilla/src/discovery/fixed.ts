import type { Instance } from "../endpoint/instance.ts";
import { byId, frozenInstance, instanceFault, serviceFault } from "./check.ts";
import type { Instancer } from "./discovery.ts";

/** What {@link fixed} takes for a service: addresses, whose id is the address itself, or whole instances. */
export type FixedTargets = readonly (string | Instance)[];

const none: readonly Instance[] = Object.freeze([]);

/**
 * Instances that are known beforehand: one list for any service asked about, or a list for each service by name (a service
 * that is not named has none).
 *
 * ```ts
 * fixed(["http://10.0.0.7:8080", "http://10.0.0.8:8080"]);
 * fixed({ "calc.v1.Calculator": [{ id: "a", address: "http://10.0.0.7:8080", weight: 2 }] });
 * ```
 *
 * @throws TypeError for what is no address, no legal instance, or an id that stands twice, saying which.
 */
export function fixed(targets: FixedTargets | Readonly<Record<string, FixedTargets>>): Instancer {
  const find = Array.isArray(targets)
    ? everywhere(targets)
    : byService(targets as Readonly<Record<string, FixedTargets>>);
  return {
    watch(service, observer) {
      let watching = true;
      queueMicrotask(() => {
        if (watching) observer.update(find(service));
      });
      return {
        stop() {
          watching = false;
        },
      };
    },
  };
}

function everywhere(targets: FixedTargets): () => readonly Instance[] {
  const snapshot = snapshotOf(targets, "fixed");
  return () => snapshot;
}

function byService(targets: Readonly<Record<string, FixedTargets>>): (service: string) => readonly Instance[] {
  if (typeof targets !== "object" || targets === null) {
    throw new TypeError(
      `fixed: give a list of addresses or instances, or an object of such lists, got ${String(targets)}`,
    );
  }
  const services = new Map<string, readonly Instance[]>();
  for (const [service, list] of Object.entries(targets)) {
    const fault = serviceFault(service);
    if (fault !== undefined) throw new TypeError(`fixed: ${fault}`);
    services.set(service, snapshotOf(list, `fixed: ${service}`));
  }
  return (service) => services.get(service) ?? none;
}

function snapshotOf(targets: FixedTargets, where: string): readonly Instance[] {
  if (!Array.isArray(targets))
    throw new TypeError(`${where}: give a list of addresses or instances, got ${typeof targets}`);
  const instances = new Map<string, Instance>();
  targets.forEach((target: string | Instance, index) => {
    const instance = typeof target === "string" ? { id: target, address: target } : target;
    const fault = instanceFault(instance);
    if (fault !== undefined) throw new TypeError(`${where}[${index}]: ${fault}`);
    if (instances.has(instance.id)) {
      throw new TypeError(`${where}[${index}]: instance ${JSON.stringify(instance.id)} stands twice: ids are unique`);
    }
    instances.set(instance.id, frozenInstance(instance));
  });
  return Object.freeze([...instances.values()].sort(byId));
}
