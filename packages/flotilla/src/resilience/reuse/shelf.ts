import type { MethodInfo } from "../../endpoint/method-info.ts";
import { ServiceError } from "../../errors/service-error.ts";

/** Values by key, so many and so large in all; the least recently used gives way. */
export class Shelf<V> {
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  /** A map keeps the order of insertion: the first is what was not asked for the longest. */
  readonly #entries = new Map<string, { readonly value: V; readonly size: number }>();
  bytes = 0;
  /** Values that gave way. */
  evicted = 0;

  constructor(maxEntries: number, maxBytes: number) {
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** What is larger than all may be together is not kept. */
  put(key: string, value: V, size: number): void {
    this.delete(key);
    if (size > this.#maxBytes) return;
    this.#entries.set(key, { value, size });
    this.bytes += size;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#maxEntries && this.bytes <= this.#maxBytes) break;
      this.delete(oldest);
      this.evicted++;
    }
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.bytes -= entry.size;
  }

  clear(): void {
    this.#entries.clear();
    this.bytes = 0;
  }
}

/** What a response takes, as its JSON. Undefined for what has none. */
export function jsonSize({ output }: MethodInfo, response: unknown): number | undefined {
  try {
    return output.toJson(response).length;
  } catch (error) {
    if (error instanceof ServiceError) return undefined;
    throw error;
  }
}
