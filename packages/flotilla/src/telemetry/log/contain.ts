import { types } from "node:util";
import { type Place, REDACTED, type Redaction } from "./redaction.ts";

/** How much of a value is written. */
export interface LogLimits {
  /** Characters of one line, as JSON; what is over is left out, and `log_cut` says so. 1024 or more. Default 65,536. */
  readonly lineLength: number;
  /** Characters of one string. Default 16,384. */
  readonly stringLength: number;
  /** Objects within objects. Default 8. */
  readonly depth: number;
  /** Members of one object, elements of one array. Default 100. */
  readonly breadth: number;
}

/** How values are copied: the same for all lines. */
export interface CopyRules {
  readonly redaction: Redaction;
  readonly limits: LogLimits;
  /** What is written in place of a field's value, by the field's name. */
  readonly serializers: Readonly<Record<string, (value: never) => unknown>>;
}

export const defaultLimits: LogLimits = { lineLength: 65_536, stringLength: 16_384, depth: 8, breadth: 100 };

/** Plain data, safe to turn into JSON: no getters, no cycles, no prototype, a bounded size. */
export type SafeFields = Record<string, unknown>;

/** Objects without a prototype that are as quick as those with: a field named `__proto__` is a field like any other. */
const Safe = function () {} as unknown as { new (): SafeFields; prototype: object };
Safe.prototype = Object.create(null) as object;

export function safeFields(): SafeFields {
  return new Safe();
}

/** Whether this module has made it. */
export function isSafeFields(value: unknown): value is SafeFields {
  return value instanceof (Safe as unknown as new () => object);
}

/** What JSON writes as more than one character, and controls beyond ASCII and lone surrogates on the safe side. */
const ESCAPED = /["\\\p{Cc}\p{Cs}]/u;
/** BigInts above this take long to turn into digits. */
const MAX_BIGINT = 2n ** 256n;

/**
 * Takes copies of values that are safe to write, whatever the values are: getters and proxies that throw, cycles, strings and arrays of any
 * size, BigInts, symbols. Redacts on the way. One for each line: all its copies share one budget.
 */
export class Container {
  readonly #rules: CopyRules;
  readonly #redaction: Redaction;
  readonly #limits: LogLimits;
  /** Characters of JSON that may still be used. */
  #left: number;
  #cut = false;
  readonly #above: object[] = [];

  /** @param budget - characters of JSON that the copies may take together. */
  constructor(rules: CopyRules, budget: number) {
    this.#rules = rules;
    this.#redaction = rules.redaction;
    this.#limits = rules.limits;
    this.#left = budget;
  }

  /** Whether something was left out. */
  get cut(): boolean {
    return this.#cut;
  }

  /** Characters of JSON that may still be used. */
  get left(): number {
    return this.#left;
  }

  /**
   * Adds copies of the members of a value to a line's fields; an Error becomes the field `err`. A name in `reserved` gets `app.` before it, so
   * that no field can pass for one of the line's own. Never throws.
   */
  addFields(target: SafeFields, fields: unknown, reserved: ReadonlySet<string>): void {
    try {
      if (typeof fields !== "object" || fields === null) return;
      if (types.isNativeError(fields) || fields instanceof Error) target["err"] = this.field("err", fields);
      else this.#members(target, fields, this.#redaction.root, reserved);
    } catch (error) {
      target["log_error"] = this.#unreadable(error);
    }
    if (this.#cut) target["log_cut"] = true;
  }

  /** A copy of a field's value; undefined for what is not written. Never throws. */
  field(name: string, value: unknown): unknown {
    try {
      return this.#member(name, value, this.#redaction.root);
    } catch (error) {
      return this.#unreadable(error);
    }
  }

  /** A string, cut where it is too long. */
  string(text: string): string {
    const most = Math.min(this.#limits.stringLength, this.#left - 40);
    const kept = text.length > most ? this.#shorten(text, Math.max(0, most)) : text;
    this.#left -= ESCAPED.test(kept) ? JSON.stringify(kept).length : kept.length + 2;
    // Escapes make up to six characters of one.
    if (this.#left < 0 && kept.length > 40) {
      this.#cut = true;
      return this.#shorten(text, Math.max(0, Math.floor(most / 6)));
    }
    return kept;
  }

  #shorten(text: string, length: number): string {
    this.#cut = true;
    let end = length;
    if (end > 0 && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end--;
    return `${copyOf(text.slice(0, end))}… [${text.length - end} more characters]`;
  }

  #member(name: string, value: unknown, place: Place): unknown {
    const inner = this.#redaction.enter(place, name);
    return inner === true ? this.string(REDACTED) : this.#value(value, inner);
  }

  #value(value: unknown, place: Place): unknown {
    switch (typeof value) {
      case "string":
        return this.string(value);
      case "number":
        this.#left -= 8;
        return Number.isFinite(value) ? value : String(value);
      case "boolean":
        this.#left -= 5;
        return value;
      case "bigint":
        return value > MAX_BIGINT || value < -MAX_BIGINT ? "[BigInt of over 256 bits]" : this.string(String(value));
      case "symbol":
        return this.string(String(value));
      case "object":
        return value === null ? null : this.#object(value, place);
      default:
        return undefined;
    }
  }

  #object(value: object, place: Place): unknown {
    if (this.#above.includes(value)) return this.string("[Circular]");
    if (this.#above.length >= this.#limits.depth || this.#left <= 0) {
      this.#cut = true;
      return this.string(Array.isArray(value) ? "[Array]" : "[Object]");
    }
    this.#left -= 2;
    this.#above.push(value);
    try {
      return this.#open(value, place);
    } catch (error) {
      return this.#unreadable(error);
    } finally {
      this.#above.pop();
    }
  }

  #open(value: object, place: Place): unknown {
    if (Array.isArray(value)) return this.#elements(value, value.length, place);
    if (types.isNativeError(value) || value instanceof Error) return this.#error(value, place);
    if (types.isDate(value)) {
      const ms = Date.prototype.getTime.call(value);
      return this.string(Number.isNaN(ms) ? "Invalid Date" : Date.prototype.toISOString.call(value));
    }
    if (ArrayBuffer.isView(value))
      return this.string(`[${Object.prototype.toString.call(value).slice(8, -1)} of ${value.byteLength} bytes]`);
    if (types.isMap(value)) return this.#map(value, place);
    if (types.isSet(value)) return this.#elements(value, value.size, place);
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === "function") {
      const plain: unknown = toJSON.call(value, "");
      if (typeof plain !== "object" || plain === null) return this.#value(plain, place);
      if (Array.isArray(plain)) return this.#elements(plain, plain.length, place);
      return this.#members(safeFields(), plain, place);
    }
    return this.#members(safeFields(), value, place);
  }

  #elements(values: Iterable<unknown>, length: number, place: Place): unknown[] {
    const copies: unknown[] = [];
    let index = 0;
    for (const value of values) {
      if (index === this.#limits.breadth || this.#left <= 0) {
        this.#cut = true;
        copies.push(this.string(`… [${length - index} more]`));
        break;
      }
      // What JSON cannot say is null in an array.
      copies.push(this.#member(String(index++), value, place) ?? null);
      this.#left--;
    }
    return copies;
  }

  #map(map: ReadonlyMap<unknown, unknown>, place: Place): SafeFields {
    const copies = safeFields();
    let count = 0;
    for (const [key, value] of map) {
      if (count++ === this.#limits.breadth || this.#left <= 0) {
        this.#cut = true;
        copies["…"] = `[${map.size - count + 1} more]`;
        break;
      }
      const name = typeof key === "string" || typeof key === "number" ? `${key}` : `[${typeof key} ${count}]`;
      this.#put(copies, name, this.#member(name, value, place));
    }
    return copies;
  }

  /** @param reserved - given for the line's own members only. */
  #members(copies: SafeFields, value: object, place: Place, reserved?: ReadonlySet<string>): SafeFields {
    let count = 0;
    for (const name in value) {
      if (!Object.hasOwn(value, name)) continue;
      if (count++ === this.#limits.breadth || this.#left <= 0) {
        this.#cut = true;
        break;
      }
      let copy: unknown;
      try {
        let member = (value as Record<string, unknown>)[name];
        if (reserved !== undefined && Object.hasOwn(this.#rules.serializers, name)) {
          member = this.#rules.serializers[name]!(member as never);
        }
        copy = this.#member(name, member, place);
      } catch (error) {
        copy = this.#unreadable(error);
      }
      this.#put(copies, reserved?.has(name) === true ? `app.${name}` : name, copy);
    }
    return copies;
  }

  #put(copies: SafeFields, name: string, copy: unknown): void {
    if (copy === undefined) return;
    const key = name.length > 256 ? this.#shorten(name, 256) : name;
    this.#left -= (ESCAPED.test(key) ? JSON.stringify(key).length : key.length + 2) + 2;
    copies[key] = copy;
  }

  /** What a log needs of an error: those of the system and of databases have more members of use (`errno`, `detail`). */
  #error(error: Error, place: Place): SafeFields {
    const copies = safeFields();
    const read = (name: string, get: () => unknown): void => {
      let copy: unknown;
      try {
        copy = this.#member(name, get(), place);
      } catch (failure) {
        copy = this.#unreadable(failure);
      }
      this.#put(copies, name, copy);
    };
    read("type", () => error.constructor.name || error.name);
    read("message", () => error.message);
    read("code", () => (error as { code?: unknown }).code);
    read("stack", () => error.stack);
    read("cause", () => error.cause);
    read("errors", () => (error as { errors?: unknown }).errors);
    let count = 0;
    for (const name in error) {
      if (count++ === this.#limits.breadth) break;
      if (name === "name" || name in copies || !Object.hasOwn(error, name)) continue;
      const value: unknown = Reflect.get(error, name);
      if (!Array.isArray(value) || value.length > 0) read(name, () => value);
    }
    return copies;
  }

  #unreadable(error: unknown): string {
    let why = "";
    try {
      if (error instanceof Error) why = `: ${error.message}`;
    } catch {
      // Even the error cannot be looked at.
    }
    return this.string(`[unreadable${why.slice(0, 200)}]`);
  }
}

/** The same text in memory of its own: a slice keeps alive the whole string that it is of. */
export function copyOf(text: string): string {
  return Buffer.from(text, "utf16le").toString("utf16le");
}
