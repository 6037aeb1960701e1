import type { Clock, Timer } from "../../clock/clock.ts";
import type { Random } from "../../clock/random.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc } from "../../context/with.ts";
import { ServiceError } from "../../errors/service-error.ts";
import type { Registration } from "../discovery.ts";
import { errno, folderError } from "./failure.ts";
import { type Lease, supersedes } from "./lease.ts";
import type { LeaseFolder, Stamp } from "./lease-folder.ts";
import { encodeName, leaseName, parseLeaseName } from "./names.ts";

/** What a {@link LeaseKeeper} is built with. */
export interface KeeperSettings {
  readonly heartbeatMs: number;
  readonly maxInstances: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Told when the lease was written or removed. */
  readonly onChange: () => void;
}

/** First wait after a failed heartbeat; doubled with every further one, up to the time between heartbeats. */
const RETRY_MS = 100;

/**
 * Takes one lease and keeps it: touches its file every `heartbeatMs`, writes it anew when somebody removed or damaged it, tries
 * again sooner after a failure, and gives the lease back. One thing at a time: heartbeats never overlap, and none follows the
 * removal.
 */
export class LeaseKeeper implements Registration {
  readonly #folder: LeaseFolder;
  readonly #lease: Lease;
  readonly #encodedId: string;
  readonly #name: string;
  readonly #settings: KeeperSettings;
  #written: Stamp | undefined;
  #folderStamp: Stamp | undefined;
  #error: ServiceError | undefined;
  #displacement: ServiceError | undefined;
  #failures = 0;
  #timer: Timer | undefined;
  #busy: Promise<void> = Promise.resolve();
  #ended = false;
  #removing: Promise<void> | undefined;

  constructor(folder: LeaseFolder, lease: Lease, settings: KeeperSettings) {
    this.#folder = folder;
    this.#lease = lease;
    this.#encodedId = encodeName(lease.instance.id)!;
    this.#name = leaseName(this.#encodedId, lease.token);
    this.#settings = settings;
  }

  get error(): ServiceError | undefined {
    return this.#error;
  }

  /** Writes the lease and begins to keep it. */
  async start(ctx: Context): Promise<void> {
    this.#busy = this.#take();
    try {
      await within(ctx, this.#busy);
    } catch (error) {
      // What was written although nobody waits for it any more is taken back; should that fail, it runs out by itself.
      void this.deregister(ctx).catch(() => {});
      throw this.#failure("write the lease of", error);
    }
    this.#schedule();
  }

  async deregister(ctx: Context): Promise<void> {
    this.#ended = true;
    this.#timer?.cancel();
    if (this.#removing === undefined) {
      const removing = this.#remove();
      this.#removing = removing;
      // A failed removal may be tried again.
      removing.catch(() => {
        this.#removing = undefined;
      });
    }
    await within(ctx, this.#removing);
  }

  async #remove(): Promise<void> {
    await this.#busy.catch(() => {});
    try {
      await this.#folder.remove(this.#name);
    } catch (error) {
      throw this.#failure("remove the lease of", error);
    }
    this.#settings.onChange();
  }

  async #take(): Promise<void> {
    await this.#folder.make();
    await this.#refuseWhenFull();
    await this.#write();
  }

  async #write(): Promise<void> {
    const { clock } = this.#settings;
    try {
      this.#written = await this.#folder.write(this.#name, this.#lease, clock.epoch());
    } catch (error) {
      // Somebody removed the folder between two steps.
      if (errno(error) !== "ENOENT") throw error;
      await this.#folder.make();
      this.#written = await this.#folder.write(this.#name, this.#lease, clock.epoch());
    }
    this.#settings.onChange();
  }

  #schedule(): void {
    if (this.#ended) return;
    const { clock, heartbeatMs, random } = this.#settings;
    const backoff = Math.min(heartbeatMs, RETRY_MS * 2 ** Math.min(this.#failures - 1, 20)) * (0.5 + random.next() / 2);
    this.#timer = clock.schedule(this.#failures === 0 ? heartbeatMs : backoff, () => {
      this.#busy = this.#beat().finally(() => this.#schedule());
    });
    // What serves keeps the process alive; the lease only says that it does.
    this.#timer.unref();
  }

  /** One heartbeat. Never rejects. */
  async #beat(): Promise<void> {
    try {
      await this.#renew();
      await this.#lookForOthers();
      this.#error = this.#displacement;
      this.#failures = 0;
    } catch (error) {
      this.#error = this.#failure("renew the lease of", error);
      this.#failures++;
    }
  }

  async #renew(): Promise<void> {
    const found = await this.#folder.look(this.#name);
    const intact = found?.plain && found.inode === this.#written?.inode && found.size === this.#written.size;
    if (intact) {
      try {
        return await this.#folder.touch(this.#name, this.#settings.clock.epoch());
      } catch (error) {
        if (errno(error) !== "ENOENT") throw error;
      }
    }
    if (!this.#ended) await this.#write();
  }

  /** Another process may have registered the same id later: watches see that one, so this one's owner must be told. */
  async #lookForOthers(): Promise<void> {
    const stamp = await this.#folder.stamp();
    if (stamp?.mtimeMs === this.#folderStamp?.mtimeMs && stamp?.inode === this.#folderStamp?.inode) return;
    this.#displacement = undefined;
    for (const name of await this.#folder.list(2 * this.#settings.maxInstances)) {
      if (name === this.#name || parseLeaseName(name)?.encodedId !== this.#encodedId) continue;
      const other = await this.#folder.read(name);
      if (typeof other !== "object" || !supersedes(other, this.#lease)) continue;
      const { service, instance } = this.#lease;
      const text = `embedded registry: instance ${JSON.stringify(instance.id)} of ${service} was registered again, by process ${other.pid} at ${other.instance.address}, and only that one is found: give each an id of its own`;
      this.#displacement = new ServiceError("already_exists", text);
    }
    this.#folderStamp = stamp;
  }

  async #refuseWhenFull(): Promise<void> {
    const { maxInstances, clock } = this.#settings;
    const names = (await this.#folder.list(2 * maxInstances)).filter((name) => parseLeaseName(name) !== undefined);
    if (names.length < maxInstances) return;
    let live = 0;
    for (const name of names) {
      const stamp = await this.#folder.look(name);
      if (stamp === undefined) continue;
      // What the dead left is no reason to refuse: a watch will sweep it.
      if (clock.epoch() - stamp.mtimeMs < this.#lease.ttlMs) live++;
    }
    if (live < maxInstances) return;
    const text = `embedded registry: ${this.#lease.service} has ${live} instances in ${this.#folder.path}: raise maxInstances (${maxInstances}), there and where it is watched`;
    throw new ServiceError("resource_exhausted", text);
  }

  #failure(doing: string, error: unknown): ServiceError {
    return folderError(`${doing} ${this.#lease.service}/${this.#lease.instance.id}`, this.#folder.path, error);
  }
}

/** Waits no longer than the context allows; the work itself goes on. */
function within<T>(ctx: Context, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = afterFunc(ctx, () => reject(ctx.err));
    void work.then(resolve, reject).finally(stop);
  });
}
