import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { ServiceError } from "../../errors/service-error.ts";
import type { Discovery } from "../discovery.ts";
import { LeaseStore } from "./lease-store.ts";
import { EmbeddedRegistration } from "./registration.ts";
import { EmbeddedWatch } from "./watch.ts";

/** Options of {@link embedded}. */
export interface EmbeddedOptions {
  /**
   * Folder of the leases, the same for all processes that are to find each other; made when missing, readable by its user
   * alone. Default: the environment's `FLOTILLA_REGISTRY`, else a folder of this user's in the system's temporary folder.
   */
  readonly dir?: string;
  /** How long an instance stays known after its last heartbeat, milliseconds, 100 or more. Default 5000. */
  readonly ttlMs?: number;
  /** Time between heartbeats, milliseconds, below `ttlMs`. Default a third of it. */
  readonly heartbeatMs?: number;
  /** How often a watch looks at the folder although the file system told of no change, milliseconds. Default 500. */
  readonly pollMs?: number;
  /** Told of files in the folder that are no leases. Default: a line to standard error, once a file. */
  readonly onWarning?: (message: string) => void;
  readonly clock?: Clock;
}

/**
 * A registry for the services of one machine that needs no daemon: a lease is a file, its modification time the last
 * heartbeat. An instance that deregisters is gone at once, one that is killed within `ttlMs`.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function embedded(options: EmbeddedOptions = {}): Discovery {
  const { ttlMs = 5000, pollMs = 500, clock = systemClock, onWarning = toStandardError } = options;
  const { heartbeatMs = ttlMs / 3 } = options;
  if (!(ttlMs >= 100)) throw new RangeError(`embedded: ttlMs must be 100 or more, got ${ttlMs}`);
  if (!(heartbeatMs > 0 && heartbeatMs < ttlMs)) {
    throw new RangeError(`embedded: heartbeatMs must be above 0 and below ttlMs (${ttlMs}), got ${heartbeatMs}`);
  }
  if (!(pollMs > 0)) throw new RangeError(`embedded: pollMs must be above 0, got ${pollMs}`);
  const dir = resolve(options.dir ?? process.env["FLOTILLA_REGISTRY"] ?? defaultDir());
  const store = new LeaseStore(dir);
  return {
    async register(ctx, service, instance) {
      if (ctx.err !== undefined) throw ctx.err;
      if (URL.parse(instance.address) === null) {
        throw new ServiceError(
          "invalid_argument",
          `instance ${instance.id} has address ${JSON.stringify(instance.address)}: give a URL like http://127.0.0.1:8080`,
        );
      }
      const registration = new EmbeddedRegistration(store, dir, service, instance, { ttlMs, heartbeatMs, clock });
      await registration.start();
      return registration;
    },
    watch: (service, observer) => new EmbeddedWatch(store, dir, service, observer, { pollMs, clock, onWarning }),
  };
}

function defaultDir(): string {
  return join(tmpdir(), `flotilla-registry-${userInfo().username.replaceAll(/[^A-Za-z0-9_-]/g, "_")}`);
}

function toStandardError(message: string): void {
  process.stderr.write(`${message}\n`);
}
