import type { SafeFields } from "./contain.ts";
import type { Component } from "./level-table.ts";
import type { Level } from "./levels.ts";

/** A line that is kept back until it is known whether anybody wants it. */
export interface HeldLine {
  readonly component: Component;
  readonly level: Level;
  readonly epochMs: number;
  readonly fields: SafeFields;
  readonly text: string;
  /** Flags of its trace. */
  readonly flags: number;
  /** About how many characters it holds. */
  readonly size: number;
}

/** How many lines below their threshold are kept for the case that the call fails. */
export interface HoldOptions {
  /** From which level on. Default `debug`. */
  readonly level?: Level;
  /** Newest lines of one call. 1 to 10,000. Default 64. */
  readonly lines?: number;
  /** Characters of all calls together. 65,536 or more. Default 4 Mi. */
  readonly maxChars?: number;
}

/** Room for the held lines of all calls of a process. */
export class HoldBudget {
  readonly lines: number;
  left: number;
  /** Calls that hold something: their lines are what a crash would take along. */
  readonly holders = new Set<HeldLines>();

  /** @throws RangeError when an option is not legal, naming it. */
  constructor({ lines = 64, maxChars = 4 * 1024 * 1024 }: HoldOptions) {
    if (!(Number.isInteger(lines) && lines >= 1 && lines <= 10_000)) {
      throw new RangeError(`logging: hold.lines must be a whole number from 1 to 10000, got ${lines}`);
    }
    if (!(maxChars >= 65_536)) {
      throw new RangeError(`logging: hold.maxChars must be 65536 or more characters, got ${maxChars}`);
    }
    this.lines = lines;
    this.left = maxChars;
  }
}

/** The newest held lines of one call: a ring. */
export class HeldLines {
  readonly #budget: HoldBudget;
  readonly #ring: HeldLine[] = [];
  #oldest = 0;
  #lost = 0;

  constructor(budget: HoldBudget) {
    this.#budget = budget;
  }

  add(line: HeldLine): void {
    const ring = this.#ring;
    const budget = this.#budget;
    if (ring.length === 0) budget.holders.add(this);
    if (ring.length < budget.lines) {
      if (budget.left < line.size) return void this.#lost++;
      ring.push(line);
    } else {
      const old = ring[this.#oldest]!;
      if (budget.left + old.size < line.size) return void this.#lost++;
      budget.left += old.size;
      ring[this.#oldest] = line;
      this.#oldest = (this.#oldest + 1) % ring.length;
      this.#lost++;
    }
    budget.left -= line.size;
  }

  /** Empties the ring. @returns the lines, oldest first, and how many there was no room for. */
  take(): { readonly lines: readonly HeldLine[]; readonly lost: number } {
    const lines = [...this.#ring.slice(this.#oldest), ...this.#ring.slice(0, this.#oldest)];
    const lost = this.#lost;
    this.#budget.holders.delete(this);
    for (const { size } of lines) this.#budget.left += size;
    this.#ring.length = 0;
    this.#oldest = 0;
    this.#lost = 0;
    return { lines, lost };
  }
}
