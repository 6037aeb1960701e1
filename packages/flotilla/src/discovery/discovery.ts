import type { Context } from "../context/context.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { ServiceError } from "../errors/service-error.ts";

/** Announces instances. */
export interface Registrar {
  /**
   * Announces an instance of a service and keeps it announced (heartbeats, re-registration after a loss) until
   * `deregister`. Resolves once it can be discovered.
   *
   * @throws ServiceError `unavailable` when the registry cannot be reached or written within the context,
   *   `invalid_argument` for an instance that cannot be registered.
   */
  register(ctx: Context, service: string, instance: Instance): Promise<Registration>;
}

/** An instance that is announced. */
export interface Registration {
  /** Undefined while all is well; the last failure while the registry cannot be reached and the lease may run out. */
  readonly error: ServiceError | undefined;
  /** Takes the instance back; resolves once new snapshots no longer hold it. Idempotent. */
  deregister(ctx: Context): Promise<void>;
}

/** Finds instances. */
export interface Instancer {
  /**
   * Follows the instances of a service. The observer gets a full snapshot as soon as one is known, and a new one on each
   * change; never a partial one, never the same one twice, and never inside this call. A service nobody has registered has the
   * empty snapshot.
   */
  watch(service: string, observer: InstanceObserver): Watch;
}

/** Who is told by a {@link Watch}. Must not throw. */
export interface InstanceObserver {
  /** All instances there are now, ordered by id. */
  update(instances: readonly Instance[]): void;
  /** The source fails: earlier snapshots may be stale. Told once a spell of failure; the next `update` ends it. */
  error(error: ServiceError): void;
}

/** A running watch. */
export interface Watch {
  /** Ends it: the observer hears nothing more, and nothing (timer, file handle, socket) is left. Idempotent. */
  stop(): void;
}

/** Both sides of one registry. */
export interface Discovery extends Registrar, Instancer {}
