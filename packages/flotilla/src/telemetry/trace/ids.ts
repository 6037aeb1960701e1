import { randomFillSync } from "node:crypto";
import { type Random, systemRandom } from "../../clock/random.ts";

/** Makes the ids of traces and spans. */
export interface IdSource {
  /** 32 lower-case hex digits, not all zero; all of them random (W3C Trace Context level 2's random flag). */
  traceId(): string;
  /** 16 lower-case hex digits, not all zero. */
  spanId(): string;
}

/** Drawn at a time: a quarter of it costs nearly as much. */
const POOL_BYTES = 16_384;
/** Made hex at a time, and kept as long as one of the ids in it. */
const BATCH_BYTES = 4096;

/**
 * Ids out of pools of randomness, made hex by the hundred: an id costs a slice.
 *
 * @param random - the system's draws on `node:crypto`; any other, such as a seeded one, is asked for 32 bits at a time.
 */
export function createIds(random: Random = systemRandom): IdSource {
  const traces = new IdPool(random, 16);
  const spans = new IdPool(random, 8);
  return { traceId: () => traces.next(), spanId: () => spans.next() };
}

class IdPool {
  readonly #random: Random;
  readonly #bytes = Buffer.alloc(POOL_BYTES);
  readonly #idBytes: number;
  /** Bytes of the pool that have been made hex. */
  #used = POOL_BYTES;
  #hex = "";
  #at = 0;

  constructor(random: Random, idBytes: number) {
    this.#random = random;
    this.#idBytes = idBytes;
  }

  next(): string {
    if (this.#at === this.#hex.length) this.#nextBatch();
    const at = this.#at;
    this.#at = at + 2 * this.#idBytes;
    return this.#hex.slice(at, this.#at);
  }

  #nextBatch(): void {
    if (this.#used === POOL_BYTES) this.#refill();
    const from = this.#used;
    this.#used = from + BATCH_BYTES;
    this.#hex = this.#bytes.toString("hex", from, this.#used);
    this.#at = 0;
  }

  #refill(): void {
    this.#used = 0;
    const bytes = this.#bytes;
    if (this.#random === systemRandom) {
      randomFillSync(bytes);
      return;
    }
    for (let i = 0; i < POOL_BYTES; i += 4) bytes.writeUInt32LE((this.#random.next() * 2 ** 32) >>> 0, i);
    // All zero means "no id". A poor Random may well give it.
    for (let id = 0; id < POOL_BYTES; id += this.#idBytes) {
      let seen = 0;
      for (let i = id; i < id + this.#idBytes; i++) seen |= bytes[i]!;
      if (seen === 0) bytes[id + this.#idBytes - 1] = 1;
    }
  }
}
