import { join } from "node:path";
import type { Clock } from "../../clock/clock.ts";
import { type Random, systemRandom } from "../../clock/random.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { frozenInstance, instanceFault, serviceFault } from "../check.ts";
import type { Discovery } from "../discovery.ts";
import { type Lease, leaseText, MAX_LEASE_BYTES, MAX_TTL_MS, MIN_TTL_MS } from "./lease.ts";
import { LeaseFolder, unique } from "./lease-folder.ts";
import { encodeName } from "./names.ts";
import { LeaseKeeper } from "./registration.ts";
import { registryRoot } from "./root.ts";
import { ServiceWatch } from "./service-watch.ts";

/** Options of {@link embedded}. */
export interface EmbeddedOptions {
  /**
   * Folder of the leases, on a local disk, the same for all processes that are to find each other. Made when missing, mode
   * 0700. Whoever can write to it can register. Default: the environment's `FLOTILLA_REGISTRY`, else
   * `flotilla-registry-<user id>` in the system's temporary folder, refused when another user owns or may write to it.
   */
  readonly dir?: string;
  /** How long an instance is found after its last heartbeat, milliseconds, 100 to 3600000. Default 5000. */
  readonly ttlMs?: number;
  /** Time between heartbeats, milliseconds, 10 to half of `ttlMs`. Default a third of `ttlMs`. */
  readonly heartbeatMs?: number;
  /** How often a watch asks whether the folder has changed, in case the file system did not tell, milliseconds, 10 to 60000. Default 500. */
  readonly pollMs?: number;
  /** Most instances a service may have, 1 to 100000: more are refused at `register` and cut off, with an error, in a watch. Default 1000. */
  readonly maxInstances?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Spreads the repetition of failed heartbeats. Default: the system's. */
  readonly random?: Random;
}

/**
 * The registry of one machine, without a daemon: a folder, in which each instance keeps a lease, a file that it touches
 * (heartbeat) as long as it lives. Who deregisters is gone at once, who is killed within `ttlMs`; the file is swept by whoever
 * watches, a ttl later. Wall-clock jumps end no lease. A full disk prevents new leases and leaves those there are alive.
 *
 * Two processes that register one id do not disturb each other's files; the later one is found, and the other's
 * `registration.error` says so. A file that is no lease is ignored and told of by `error`, with an `update` right after it, since
 * the snapshot is good. Neither leases nor watches keep the process alive by themselves.
 *
 * @throws TypeError or RangeError when an option is not legal, naming it.
 */
export function embedded(options: EmbeddedOptions = {}): Discovery {
  const { dir, ttlMs = 5000, pollMs = 500, maxInstances = 1000, clock = systemClock, random = systemRandom } = options;
  const heartbeatMs = options.heartbeatMs ?? ttlMs / 3;
  if (dir !== undefined && (typeof dir !== "string" || dir === "")) {
    throw new TypeError(`embedded: dir must be the path of a folder, got ${JSON.stringify(dir)}`);
  }
  check("ttlMs", ttlMs, MIN_TTL_MS, MAX_TTL_MS);
  check("heartbeatMs", heartbeatMs, 10, ttlMs / 2);
  check("pollMs", pollMs, 10, 60_000);
  check("maxInstances", maxInstances, 1, 100_000);
  const root = registryRoot(dir);
  const watches = new Map<string, ServiceWatch>();

  const folderOf = (service: string): LeaseFolder => {
    const fault = serviceFault(service);
    const name = fault === undefined ? encodeName(service) : undefined;
    if (name === undefined) throw new ServiceError("invalid_argument", fault ?? tooLong("service name", service));
    return new LeaseFolder(join(root.dir, name), service, () => root.prepare());
  };

  return {
    async register(ctx, service, instance) {
      const folder = folderOf(service);
      const fault = instanceFault(instance);
      if (fault !== undefined) throw new ServiceError("invalid_argument", fault);
      if (encodeName(instance.id) === undefined) {
        throw new ServiceError("invalid_argument", tooLong("instance id", instance.id));
      }
      const copy = frozenInstance(instance);
      const lease: Lease = {
        service,
        instance: copy,
        token: unique(),
        sinceMs: clock.epoch(),
        ttlMs,
        pid: process.pid,
      };
      const bytes = Buffer.byteLength(leaseText(lease));
      if (bytes > MAX_LEASE_BYTES) {
        const text = `instance ${instance.id} takes ${bytes} bytes as a lease, of ${MAX_LEASE_BYTES} at most: shorten its metadata`;
        throw new ServiceError("invalid_argument", text);
      }
      if (ctx.err !== undefined) throw ctx.err;
      const onChange = (): void => watches.get(service)?.nudge();
      const keeper = new LeaseKeeper(folder, lease, { heartbeatMs, maxInstances, clock, random, onChange });
      await keeper.start(ctx);
      return keeper;
    },
    watch(service, observer) {
      let watch = watches.get(service);
      if (watch === undefined) {
        watch = new ServiceWatch(folderOf(service), service, { pollMs, maxInstances, clock }, () =>
          watches.delete(service),
        );
        watches.set(service, watch);
      }
      return watch.broadcast.add(observer);
    },
  };
}

function check(name: string, value: number, min: number, max: number): void {
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    throw new RangeError(`embedded: ${name} must be from ${min} to ${max}, got ${value}`);
  }
}

function tooLong(what: string, name: string): string {
  return `${what} ${JSON.stringify(`${name.slice(0, 64)}…`)} is too long for a file name: shorten it`;
}
