import type { Clock } from "../../clock/clock.ts";
import type { Instance } from "../../endpoint/instance.ts";
import { type Lease, supersedes } from "./lease.ts";
import type { Stamp } from "./lease-folder.ts";

/** A lease as one watch knows it. */
export interface Entry {
  readonly name: string;
  readonly lease: Lease;
  stamp: Stamp;
  /** When it runs out, on the monotonic clock. */
  expiresMs: number;
  /** When its file may be removed, on the monotonic clock. */
  sweepMs: number;
}

/** The file of a lease that ran out is left for so many times its ttl, for an owner that was only paused. */
const SWEEP_AFTER = 1;
/** The wall clock has jumped when it has moved by more than this against the monotonic one between two looks. */
const JUMP_MS = 100;

/**
 * Judges which leases are alive.
 *
 * All processes share the machine's wall clock, but it may jump; each has a monotonic clock, but nobody else can read it. So
 * a heartbeat (a *change* of the file's modification time) counts `ttlMs` on this watch's monotonic clock from when it was made:
 * its wall time says when, but never earlier than this watch's look before, nor later than now, and it is asked only when
 * the wall clock has not jumped between the two. Of a lease seen for the first time the wall time is all there is.
 *
 * A watch that was itself held up (a stopped or swapped-out process, a suspended machine) has seen no heartbeats: leases that
 * ran out meanwhile get half a ttl more, since their owners may have been held up with it.
 */
export class LeaseBook {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  #lookMs: number;
  #lastLookMs: number;
  #offsetMs: number;
  #jumped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lookMs = this.#lastLookMs = clock.now();
    this.#offsetMs = clock.epoch() - clock.now();
  }

  get entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /**
   * A full look at the folder begins; it is the time by which leases are judged until the next one.
   *
   * @param dueMs - when this watch meant to look, at the latest.
   */
  begin(dueMs: number): void {
    const now = this.#clock.now();
    this.#lastLookMs = this.#lookMs;
    this.#lookMs = now;
    const offset = this.#clock.epoch() - now;
    this.#jumped = Math.abs(offset - this.#offsetMs) > JUMP_MS;
    this.#offsetMs = offset;
    for (const entry of this.#entries.values()) {
      const { ttlMs } = entry.lease;
      const heldUp = now - dueMs > ttlMs / 4;
      if (heldUp && entry.expiresMs >= dueMs) entry.expiresMs = Math.max(entry.expiresMs, now + ttlMs / 2);
    }
  }

  /** A lease is seen for the first time, or its file was written anew. */
  add(name: string, lease: Lease, stamp: Stamp): void {
    const age = Math.max(0, this.#clock.epoch() - stamp.mtimeMs);
    const expiresMs = this.#clock.now() + Math.max(0, lease.ttlMs - age);
    this.#entries.set(name, { name, lease, stamp, expiresMs, sweepMs: expiresMs + SWEEP_AFTER * lease.ttlMs });
  }

  /** A lease is seen again. */
  see(entry: Entry, stamp: Stamp): void {
    if (stamp.mtimeMs === entry.stamp.mtimeMs) return;
    const now = this.#clock.now();
    const age = this.#jumped ? 0 : Math.min(Math.max(0, this.#clock.epoch() - stamp.mtimeMs), now - this.#lastLookMs);
    entry.stamp = stamp;
    entry.expiresMs = now - age + entry.lease.ttlMs;
    entry.sweepMs = entry.expiresMs + SWEEP_AFTER * entry.lease.ttlMs;
  }

  drop(name: string): void {
    this.#entries.delete(name);
  }

  /** The instances whose lease had not run out when the look began: one an id, the one registered last. */
  alive(): Instance[] {
    const byId = new Map<string, Lease>();
    for (const { lease, expiresMs } of this.#entries.values()) {
      if (expiresMs <= this.#lookMs) continue;
      const other = byId.get(lease.instance.id);
      if (other === undefined || supersedes(lease, other)) byId.set(lease.instance.id, lease);
    }
    return Array.from(byId.values(), (lease) => lease.instance);
  }

  /** The leases whose files may be removed. Where that fails it is tried again a ttl later. */
  sweepable(): Entry[] {
    const due = [...this.#entries.values()].filter(
      ({ expiresMs, sweepMs }) => Math.max(expiresMs, sweepMs) <= this.#lookMs,
    );
    for (const entry of due) entry.sweepMs = this.#lookMs + entry.lease.ttlMs;
    return due;
  }

  /** When the next lease runs out or becomes sweepable, unless it is renewed; Infinity when there is none. */
  nextMs(): number {
    let next = Infinity;
    for (const entry of this.#entries.values()) {
      next = Math.min(next, entry.expiresMs > this.#lookMs ? entry.expiresMs : entry.sweepMs);
    }
    return next;
  }
}
