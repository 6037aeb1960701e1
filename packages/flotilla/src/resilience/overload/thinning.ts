/** So many times as many calls are let queue as are let in: enough that the line is never short of new ones. */
const MULTIPLIER = 2;
/** Counts are halved when so many calls have come: what is older tells ever less. */
const WINDOW = 200;

/**
 * Tells which calls to refuse at the door when far more come than can be let in, so that what is read of a request, and queued, only
 * to be pushed out by the next, is little.
 *
 * Algorithm: adaptive throttling (Beyer et al., "Site Reliability Engineering", 2016, chapter 21), `(asked - 2 · let in) / (asked + 1)`,
 * at the server itself; the share is dealt out evenly instead of by chance.
 */
export class Thinning {
  #asked = 0;
  #letIn = 0;
  #due = 0;

  /** A call came that found no room. */
  asked(): void {
    if (++this.#asked < WINDOW) return;
    this.#asked /= 2;
    this.#letIn /= 2;
  }

  /** One of them was let in. */
  letIn(): void {
    this.#letIn++;
  }

  /** Whether the next one is to be refused. */
  refuses(): boolean {
    this.#due += Math.max(0, (this.#asked - MULTIPLIER * this.#letIn) / (this.#asked + 1));
    if (this.#due < 1) return false;
    this.#due--;
    return true;
  }
}
