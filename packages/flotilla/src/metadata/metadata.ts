/** Header values as Node gives them: one string, or several for a name that came more than once. */
export type MetadataRecord = Record<string, string | string[] | undefined>;

/** Nothing is inherited, so that no header is found that is none (`constructor`). */
const Bare = function Bare() {} as unknown as new () => MetadataRecord;
Bare.prototype = Object.freeze(Object.create(null));

/** An empty record that inherits nothing. Several times as fast to fill and to copy as `Object.create(null)`. */
export function newRecord(): MetadataRecord {
  return new Bare();
}

/** A copy that shares nothing with the original. */
export function copyRecord(record: MetadataRecord): MetadataRecord {
  const copy = newRecord();
  for (const name of Object.keys(record)) {
    const value = record[name];
    copy[name] = Array.isArray(value) ? value.slice() : value;
  }
  return copy;
}

/**
 * Headers of a call, on any transport: names are case-insensitive (kept in lower case), a name may have several values.
 * A name ending in `-bin` holds binary data in base64.
 *
 * Wraps the record it is given without copying it: reading an incoming request's headers costs nothing until asked.
 */
export class Metadata {
  readonly #record: MetadataRecord;

  constructor(record: MetadataRecord = newRecord()) {
    this.#record = record;
  }

  /** The value of a name, several joined by `", "` as HTTP does; undefined when absent. */
  get(name: string): string | undefined {
    const value = this.#read(name.toLowerCase());
    return typeof value === "string" ? value : Array.isArray(value) ? value.join(", ") : undefined;
  }

  /** Every value of a name, in order. */
  getAll(name: string): readonly string[] {
    const value = this.#read(name.toLowerCase());
    return typeof value === "string" ? [value] : Array.isArray(value) ? value : [];
  }

  /** Sets a name to one value. @throws TypeError when the name or value cannot stand in a header. */
  set(name: string, value: string): void {
    this.#write(checkName(name), checkValue(name, value));
  }

  /** Adds a value to a name. @throws TypeError when the name or value cannot stand in a header. */
  append(name: string, value: string): void {
    const key = checkName(name);
    const present = this.#read(key);
    checkValue(name, value);
    this.#write(key, present === undefined ? value : Array.isArray(present) ? [...present, value] : [present, value]);
  }

  /** Removes a name. */
  delete(name: string): void {
    delete this.#record[name.toLowerCase()];
  }

  /** The names and their values, a pair for each value. */
  *entries(): Generator<[string, string]> {
    for (const name of Object.keys(this.#record)) for (const value of this.getAll(name)) yield [name, value];
  }

  /** The record may be a plain object: what it inherits (`constructor`) is no header. */
  #read(key: string): string | string[] | undefined {
    return Object.hasOwn(this.#record, key) ? this.#record[key] : undefined;
  }

  /** `__proto__` is a lawful header name, and must not reach the setter of a plain object. */
  #write(key: string, value: string | string[]): void {
    if (key !== "__proto__") this.#record[key] = value;
    else Object.defineProperty(this.#record, key, { value, writable: true, enumerable: true, configurable: true });
  }
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** Whether every transport can carry a header: what `set` takes. */
export function isSendable(name: string, value: unknown): boolean {
  return TOKEN.test(name.toLowerCase()) && typeof value === "string" && oddAt(value) < 0;
}

function checkName(name: string): string {
  const key = name.toLowerCase();
  if (!TOKEN.test(key))
    throw new TypeError(`metadata name ${JSON.stringify(name)} is not a valid header name (RFC 9110 token)`);
  return key;
}

function checkValue(name: string, value: string): string {
  const at = oddAt(value);
  if (at < 0) return value;
  throw new TypeError(
    `metadata value of ${JSON.stringify(name)} has a character a header cannot carry at index ${at}: use a name ending in -bin with base64`,
  );
}

/** Where a value has what is not visible ASCII, space or tab: only those can every transport carry. Anything else goes into a `-bin` name as base64. */
function oddAt(value: string): number {
  for (let i = 0; i < value.length; i++) {
    const char = value.charCodeAt(i);
    if ((char < 0x20 && char !== 0x09) || char > 0x7e) return i;
  }
  return -1;
}
