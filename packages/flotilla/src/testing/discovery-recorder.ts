import assert from "node:assert/strict";
import { systemClock } from "../clock/system-clock.ts";
import type { InstanceObserver } from "../discovery/discovery.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { ServiceError } from "../errors/service-error.ts";

/** An observer that keeps what it is told, for tests of discovery. */
export class SnapshotRecorder implements InstanceObserver {
  /** What it was told, in order. */
  readonly told: (readonly Instance[] | ServiceError)[] = [];
  readonly #onUpdate: (() => void) | undefined;

  /** @param onUpdate - called within each `update`, after it was kept. */
  constructor(onUpdate?: () => void) {
    this.#onUpdate = onUpdate;
  }

  update(instances: readonly Instance[]): void {
    this.told.push(instances);
    this.#onUpdate?.();
  }

  error(error: ServiceError): void {
    this.told.push(error);
  }

  /** All snapshots, in order. */
  get snapshots(): (readonly Instance[])[] {
    return this.told.filter((item): item is readonly Instance[] => Array.isArray(item));
  }

  /** All errors, in order. */
  get errors(): ServiceError[] {
    return this.told.filter((item): item is ServiceError => !Array.isArray(item));
  }

  /** The last snapshot, undefined before the first. */
  get last(): readonly Instance[] | undefined {
    return this.snapshots.at(-1);
  }

  /** The addresses of the last snapshot, sorted. */
  get addresses(): string[] | undefined {
    return this.last?.map(({ address }) => address).sort();
  }
}

/**
 * Waits until a condition holds, looking every few milliseconds.
 *
 * @param what - the condition in words, for the error.
 * @throws AssertionError when it does not hold after `timeoutMs` milliseconds. Default 10000.
 */
export async function until(what: string, holds: () => boolean, timeoutMs = 10_000): Promise<void> {
  const end = systemClock.now() + timeoutMs;
  while (!holds()) {
    assert.ok(systemClock.now() < end, `not within ${timeoutMs} ms: ${what}`);
    await new Promise<void>((resolve) => systemClock.schedule(5, resolve));
  }
}
