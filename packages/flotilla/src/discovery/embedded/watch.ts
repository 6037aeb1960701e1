import { type FSWatcher, watch as watchFolder } from "node:fs";
import type { Clock, Timer } from "../../clock/clock.ts";
import type { Instance } from "../../endpoint/instance.ts";
import type { InstanceObserver, Watch } from "../discovery.ts";
import { type Lease, type LeaseStore, storeError } from "./lease-store.ts";

/** A lease as this watcher knows it. */
interface Known {
  readonly lease: Lease;
  beatMs: number;
  /** When it runs out, on this watcher's monotonic clock. */
  expiresMs: number;
}

/** How long a lease that ran out is left lying, in terms of its ttl, for an owner that was only paused. */
const SWEEP_AFTER = 2;

/**
 * Follows the leases of one service: told by the file system, and by looking every `pollMs` in case it was not.
 *
 * A lease counts for `ttlMs` from its last heartbeat. The wall clock tells only how old a heartbeat was when it was first seen;
 * from there on the monotonic clock counts, so that a jump of the wall clock costs no instance its place.
 */
export class EmbeddedWatch implements Watch {
  readonly #store: LeaseStore;
  readonly #dir: string;
  readonly #service: string;
  readonly #observer: InstanceObserver;
  readonly #pollMs: number;
  readonly #clock: Clock;
  readonly #warn: (message: string) => void;
  readonly #known = new Map<string, Known>();
  readonly #refused = new Set<string>();
  #folder: FSWatcher | undefined;
  #timer: Timer | undefined;
  #looking = false;
  #again = false;
  #stopped = false;
  #failing = false;
  #told: string | undefined;

  constructor(
    store: LeaseStore,
    dir: string,
    service: string,
    observer: InstanceObserver,
    options: { readonly pollMs: number; readonly clock: Clock; readonly onWarning: (message: string) => void },
  ) {
    this.#store = store;
    this.#dir = dir;
    this.#service = service;
    this.#observer = observer;
    this.#pollMs = options.pollMs;
    this.#clock = options.clock;
    this.#warn = options.onWarning;
    void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#folder?.close();
    this.#folder = undefined;
  }

  /** Looks at the folder; at most one look at a time, and one more when something happened meanwhile. Never rejects. */
  async #look(): Promise<void> {
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    do {
      this.#again = false;
      try {
        await this.#follow();
        await this.#read();
        if (!this.#stopped) this.#tell();
      } catch (error) {
        if (!this.#stopped && !this.#failing) {
          this.#failing = true;
          this.#observer.error(storeError(this.#dir, `read the instances of ${this.#service}`, error));
        }
      }
    } while (this.#again && !this.#stopped);
    this.#looking = false;
    this.#wait();
  }

  /** Waits for the next poll, or for the next lease to run out. */
  #wait(): void {
    this.#timer?.cancel();
    if (this.#stopped) return;
    let next = this.#clock.now() + this.#pollMs;
    for (const { expiresMs } of this.#known.values()) {
      if (expiresMs > this.#clock.now()) next = Math.min(next, expiresMs);
    }
    this.#timer = this.#clock.schedule(next - this.#clock.now() + 1, () => void this.#look());
    this.#timer.unref();
  }

  /** Has the file system tell of changes, as long as it can; polling does the rest. */
  async #follow(): Promise<void> {
    if (this.#folder !== undefined) return;
    const path = await this.#store.makeFolder(this.#service);
    if (this.#stopped) return;
    try {
      const folder = watchFolder(path, { persistent: false }, (event, name) => {
        // The folder itself was removed: it is made and followed anew.
        if (event === "rename" && name === null) this.#unfollow();
        if (name === null || !name.endsWith(".tmp")) void this.#look();
      });
      folder.on("error", () => this.#unfollow());
      this.#folder = folder;
    } catch (error) {
      this.#warn(
        `embedded registry: ${path} cannot be watched, so changes show only every ${this.#pollMs} ms: ${(error as Error).message}`,
      );
      this.#folder = { close() {} } as FSWatcher;
    }
  }

  #unfollow(): void {
    this.#folder?.close();
    this.#folder = undefined;
  }

  async #read(): Promise<void> {
    const names = new Set(await this.#store.list(this.#service));
    for (const name of this.#known.keys()) if (!names.has(name)) this.#known.delete(name);
    for (const name of names) {
      const known = this.#known.get(name);
      const beatMs = await this.#store.beatOf(this.#service, name);
      if (beatMs === undefined) this.#known.delete(name);
      else if (known === undefined || beatMs !== known.beatMs) await this.#renew(name);
      else await this.#sweep(name, known);
    }
  }

  async #renew(name: string): Promise<void> {
    let lease: Lease | undefined;
    try {
      lease = await this.#store.read(this.#service, name);
    } catch (error) {
      this.#known.delete(name);
      this.#refuse(name, error);
      return;
    }
    if (lease === undefined) {
      this.#known.delete(name);
      return;
    }
    const age = this.#clock.epoch() - lease.beatMs;
    const seenBefore = this.#known.has(name);
    // A heartbeat that is new to us was made just now, whatever the wall clock says of it.
    const left = seenBefore ? lease.ttlMs - Math.min(Math.max(0, age), this.#pollMs) : lease.ttlMs - Math.max(0, age);
    this.#known.set(name, { lease, beatMs: lease.beatMs, expiresMs: this.#clock.now() + left });
  }

  #refuse(name: string, error: unknown): void {
    if (this.#refused.has(name) || this.#refused.size >= 100) return;
    this.#refused.add(name);
    this.#warn(
      `embedded registry: ${this.#store.folder(this.#service)}/${name} is ignored: it ${(error as Error).message}`,
    );
  }

  async #sweep(name: string, { lease, beatMs, expiresMs }: Known): Promise<void> {
    if (this.#clock.now() < expiresMs + SWEEP_AFTER * lease.ttlMs) return;
    await this.#store.sweep(this.#service, name, beatMs);
  }

  #tell(): void {
    const now = this.#clock.now();
    const instances: Instance[] = [];
    for (const { lease, expiresMs } of this.#known.values()) if (expiresMs > now) instances.push(lease.instance);
    instances.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
    const told = JSON.stringify(instances);
    if (told === this.#told && !this.#failing) return;
    this.#told = told;
    this.#failing = false;
    this.#observer.update(instances);
  }
}
