/** Bytes of whole lines on their way out. */
export interface Portion {
  bytes: Buffer;
  /** What of `bytes` is still to be written. */
  start: number;
  end: number;
  lines: number;
}

/** Lines are written in portions of about this size, characters. A pipe of Linux takes twice as much at once. */
export const PORTION = 32_768;

/**
 * Lines that wait, no more than so many bytes of them.
 *
 *     add ─▶ tail (string) ─▶ portions (bytes) ─▶ next … took
 *
 * Bytes take less memory than a string of joined lines, and their number is exact; but as long as the reader keeps up, the tail goes out by
 * one buffer that is used again and again.
 */
export class LineQueue {
  readonly max: number;
  /** Bytes that may still be taken in; may go below 0 by characters outside of ASCII. */
  room: number;
  tail = "";
  #tailLines = 0;
  readonly #portions: Portion[] = [];
  readonly #scratch: Portion = { bytes: Buffer.allocUnsafeSlow(4 * PORTION), start: 0, end: 0, lines: 0 };

  constructor(maxBytes: number) {
    this.max = this.room = maxBytes;
  }

  get isEmpty(): boolean {
    return this.tail === "" && this.#portions.length === 0;
  }

  /** How many lines wait. */
  get lines(): number {
    return this.#portions.reduce((sum, { lines }) => sum + lines, this.#tailLines);
  }

  add(line: string): void {
    this.room -= line.length;
    this.tail += line;
    this.#tailLines++;
  }

  /** The oldest portion; it stays until {@link took} has been told of all its bytes. Undefined when nothing waits. */
  next(): Portion | undefined {
    if (this.#portions.length === 0 && this.tail !== "") this.seal();
    return this.#portions[0];
  }

  /** Like {@link next}, for what is written before anything else happens. */
  nextAtOnce(): Portion | undefined {
    const { tail } = this;
    if (this.#portions.length > 0 || tail === "" || tail.length * 3 > this.#scratch.bytes.length) return this.next();
    const portion = this.#scratch;
    portion.start = 0;
    portion.end = portion.bytes.write(tail);
    portion.lines = this.#tailLines;
    this.room += tail.length - portion.end;
    this.tail = "";
    this.#tailLines = 0;
    return portion;
  }

  /**
   * So many bytes of a portion have been written.
   *
   * @returns how many lines are done with.
   */
  took(portion: Portion, written: number): number {
    this.room = Math.min(this.max, this.room + written);
    portion.start += written;
    const over = portion.start === portion.end;
    if (portion === this.#scratch) {
      const { bytes, start, end, lines } = portion;
      if (!over)
        this.#portions.unshift({ bytes: Buffer.from(bytes.subarray(start, end)), start: 0, end: end - start, lines });
    } else if (over) {
      const at = this.#portions.indexOf(portion);
      if (at >= 0) this.#portions.splice(at, 1);
    }
    return over ? portion.lines : 0;
  }

  /** Makes bytes of the tail. */
  seal(): void {
    const bytes = Buffer.from(this.tail);
    this.room += this.tail.length - bytes.length;
    this.#portions.push({ bytes, start: 0, end: bytes.length, lines: this.#tailLines });
    this.tail = "";
    this.#tailLines = 0;
  }

  /** Takes the oldest portion out of the order: somebody else is writing it. */
  setAside(): Portion | undefined {
    return this.#portions.shift();
  }

  putBack(portion: Portion): void {
    this.#portions.unshift(portion);
  }

  /** Forgets all. @returns how many lines there were. */
  clear(): number {
    const { lines } = this;
    for (const { start, end } of this.#portions) this.room += end - start;
    this.room += this.tail.length;
    this.#portions.length = 0;
    this.tail = "";
    this.#tailLines = 0;
    return lines;
  }
}
