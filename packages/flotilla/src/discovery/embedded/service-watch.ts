import { type FSWatcher, watch as watchFolder } from "node:fs";
import type { Clock, Timer } from "../../clock/clock.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { Broadcast } from "../broadcast.ts";
import { folderError } from "./failure.ts";
import { LeaseBook } from "./lease-book.ts";
import type { LeaseFolder, Stamp } from "./lease-folder.ts";
import { isDraft, parseLeaseName } from "./names.ts";

/** What a {@link ServiceWatch} is built with. */
export interface WatchSettings {
  readonly pollMs: number;
  readonly maxInstances: number;
  readonly clock: Clock;
}

/** A change that is told is followed by others more often than not (a deployment, a temporary file's rename). */
const COALESCE_MS = 10;
/** A folder that changed so recently may change again without its modification time showing it. */
const FOLDER_TICK_MS = 2_000;
/** A draft that lies so long was left by a process that died. */
const DRAFT_MS = 60_000;
/** Files looked at at once. */
const BATCH = 32;

/**
 * Follows the leases of one service for all its observers in this process: the file system tells of changes (`fs.watch`), a
 * timer looks when the next lease may run out, and a poll makes up for what the file system did not tell. A poll is one `stat`
 * of the folder as long as nothing was added to it or removed. One look at a time; what happens during one is seen by the next.
 */
export class ServiceWatch {
  readonly broadcast: Broadcast;
  readonly #folder: LeaseFolder;
  readonly #service: string;
  readonly #settings: WatchSettings;
  readonly #book: LeaseBook;
  /** Files that are no leases of this service, by name: why, and in which state they were read. */
  readonly #ignored = new Map<string, { readonly why: string; readonly stamp: Stamp }>();
  /** Drafts, and when they were first seen. */
  readonly #drafts = new Map<string, number>();
  #told = "";
  #notice: ServiceError | undefined;
  #system: FSWatcher | undefined;
  #watched: Stamp | undefined;
  #looked: Stamp | undefined;
  #timer: Timer | undefined;
  #dueMs: number;
  #dirty = true;
  #looking = false;
  #stopped = false;

  constructor(folder: LeaseFolder, service: string, settings: WatchSettings, onEmpty: () => void) {
    this.#folder = folder;
    this.#service = service;
    this.#settings = settings;
    this.#book = new LeaseBook(settings.clock);
    this.#dueMs = settings.clock.now();
    this.broadcast = new Broadcast(() => {
      this.#stop();
      onEmpty();
    });
    void this.#look();
  }

  /** Something may have changed: look soon. */
  nudge(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    if (!this.#looking) this.#wait(COALESCE_MS);
  }

  #stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#unwatch();
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    this.#looking = true;
    const { clock, pollMs } = this.#settings;
    let failed = false;
    try {
      await this.#watch();
      const stamp = await this.#folder.stamp();
      if (this.#dirty || this.#book.nextMs() <= clock.now() || this.#changed(stamp)) {
        // Before the look: what changes during it asks for another one.
        this.#dirty = false;
        this.#looked = stamp;
        await this.#lookAtAll();
        if (!this.#stopped) this.broadcast.update(this.#book.alive(), this.#notice);
      }
    } catch (error) {
      failed = true;
      this.#looked = undefined;
      if (!this.#stopped) {
        this.broadcast.error(folderError(`read the instances of ${this.#service}`, this.#folder.path, error));
      }
    }
    this.#looking = false;
    if (this.#stopped) return this.#unwatch();
    if (failed) this.#wait(pollMs);
    else this.#wait(this.#dirty ? COALESCE_MS : Math.min(pollMs, Math.max(1, this.#book.nextMs() - clock.now())));
  }

  #wait(ms: number): void {
    const { clock } = this.#settings;
    this.#timer?.cancel();
    this.#dueMs = clock.now() + ms;
    this.#timer = clock.schedule(ms, () => void this.#look());
    this.#timer.unref();
  }

  /** Has the file system tell of changes. Where it cannot (a network file system, too many watches), polling does. */
  async #watch(): Promise<void> {
    const before = await this.#folder.stamp();
    if (before !== undefined && before.inode === this.#watched?.inode) return;
    this.#unwatch();
    this.#dirty = true;
    // Also where it is there: somebody else may have made it, to have the calls sent to himself.
    await this.#folder.make();
    const stamp = await this.#folder.stamp();
    if (stamp === undefined || this.#stopped) return;
    this.#watched = stamp;
    try {
      // Heartbeats show as "change" and need no look; drafts are hidden files.
      this.#system = watchFolder(this.#folder.path, { persistent: false }, (event, name) => {
        if (event === "rename" && !name?.startsWith(".")) this.nudge();
      });
      this.#system.on("error", () => this.#unwatch());
    } catch {
      this.#system = undefined;
    }
  }

  #unwatch(): void {
    this.#system?.close();
    this.#system = this.#watched = undefined;
  }

  #changed(now: Stamp | undefined): boolean {
    const before = this.#looked;
    if (now === undefined || before === undefined) return now !== before;
    if (now.inode !== before.inode || now.mtimeMs !== before.mtimeMs) return true;
    return Math.abs(this.#settings.clock.epoch() - now.mtimeMs) < FOLDER_TICK_MS;
  }

  async #lookAtAll(): Promise<void> {
    const { maxInstances } = this.#settings;
    this.#book.begin(this.#dueMs);
    // Leases, as many drafts and ignored files, and a few: a flood beyond that is cut off, and said.
    const limit = 2 * maxInstances + 100;
    const names = (await this.#folder.list(limit)).sort();
    const leases = names.filter((name) => parseLeaseName(name) !== undefined);
    const kept = leases.slice(0, maxInstances);
    const there = new Set(kept);
    // What a listing lacks while others rename files is asked for by name before it is given up.
    for (const { name } of this.#book.entries) if (!there.has(name) && there.size < maxInstances) kept.push(name);
    const foreign = names.filter((name) => !name.startsWith(".") && parseLeaseName(name) === undefined);
    for (let i = 0; i < kept.length; i += BATCH) {
      await Promise.all(kept.slice(i, i + BATCH).map((name) => this.#lookAt(name)));
    }
    const all = new Set(kept);
    for (const { name } of this.#book.entries) if (!all.has(name)) this.#book.drop(name);
    for (const name of this.#ignored.keys()) if (!all.has(name)) this.#ignored.delete(name);
    this.#report(leases.length > maxInstances || names.length > limit, foreign);
    await this.#sweep(names.filter(isDraft));
  }

  async #lookAt(name: string): Promise<void> {
    const stamp = await this.#folder.look(name);
    const known = this.#book.get(name);
    if (stamp === undefined) {
      this.#book.drop(name);
      this.#ignored.delete(name);
      return;
    }
    if (known !== undefined && sameFile(known.stamp, stamp)) return this.#book.see(known, stamp);
    const ignored = this.#ignored.get(name);
    if (ignored !== undefined && sameFile(ignored.stamp, stamp) && ignored.stamp.mtimeMs === stamp.mtimeMs) return;
    const lease = stamp.plain ? await this.#folder.read(name) : "it is not a plain file";
    if (typeof lease === "object") {
      this.#ignored.delete(name);
      this.#book.add(name, lease, stamp);
      return;
    }
    this.#book.drop(name);
    if (lease === undefined) this.#ignored.delete(name);
    else this.#ignored.set(name, { why: lease, stamp });
  }

  /** Files in the way are told of when there are new ones; they do not make the snapshot wrong. */
  #report(flood: boolean, foreign: readonly string[]): void {
    const { maxInstances } = this.#settings;
    const faults = Array.from(this.#ignored, ([name, { why }]) => `${name}: ${why}`);
    for (const name of foreign) faults.push(`${name}: it is not named as a lease`);
    const told = `${flood};${faults.join(";")}`;
    if (told === this.#told) return;
    this.#told = told;
    this.#notice = undefined;
    const where = `embedded registry: ${this.#folder.path}`;
    if (flood) {
      const text = `${where} holds more than ${maxInstances} leases; the rest is ignored: remove what does not belong there, or raise maxInstances`;
      this.#notice = new ServiceError("resource_exhausted", text);
    } else if (faults.length > 0) {
      const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
      this.#notice = new ServiceError(
        "data_loss",
        `${where} holds a file that is no lease, ${faults[0]}${more}: remove it`,
      );
    }
  }

  /** Removes what the dead have left. Failing at that is no failure of the watch: the next look tries again. */
  async #sweep(drafts: readonly string[]): Promise<void> {
    const now = this.#settings.clock.now();
    for (const { name, lease, stamp } of this.#book.sweepable()) {
      if (await this.#folder.sweep(name, lease.token, stamp).catch(() => false)) this.#book.drop(name);
    }
    const there = new Set(drafts);
    for (const name of this.#drafts.keys()) if (!there.has(name)) this.#drafts.delete(name);
    for (const name of drafts) {
      const since = this.#drafts.get(name);
      if (since === undefined) this.#drafts.set(name, now);
      else if (now - since >= DRAFT_MS) await this.#folder.remove(name).catch(() => false);
    }
  }
}

function sameFile(a: Stamp, b: Stamp): boolean {
  return a.inode === b.inode && a.size === b.size && a.plain === b.plain;
}
