/** Levels of arrays and objects in one value. */
const MAX_DEPTH = 4;
/** Items that one value may have, all levels together. */
const MAX_ITEMS = 1_024;

/** Attributes on their way into a span, an event or a link: names and values in turn. */
export type MutableAttributes = unknown[];

/**
 * Sets an attribute in a list: a name that is there gets the new value, else the pair is added.
 *
 * @param max - pairs that the list may have.
 * @returns false when it was dropped: the list is full, the name is no text, or the value is nothing an attribute can be.
 */
export function putAttribute(
  list: MutableAttributes,
  name: string,
  value: unknown,
  max: number,
  valueLength: number,
): boolean {
  if (typeof name !== "string" || name.length === 0) return false;
  const kept = cleanValue(value, valueLength);
  if (kept === undefined) return false;
  const { length } = list;
  for (let i = 0; i < length; i += 2) {
    if (list[i] === name) {
      list[i + 1] = kept;
      return true;
    }
  }
  if (length >= 2 * max) return false;
  list.push(name, kept);
  return true;
}

/** Sets each attribute of an object. @returns how many were dropped. Never throws. */
export function putAttributes(list: MutableAttributes, from: unknown, max: number, valueLength: number): number {
  if (typeof from !== "object" || from === null) return 0;
  let dropped = 0;
  try {
    const names = Object.keys(from);
    // However many there are: few of them can find a place.
    const looked = Math.min(names.length, 2 * max);
    dropped = names.length - looked;
    for (let i = 0; i < looked; i++) {
      const name = names[i]!;
      try {
        const value = (from as Record<string, unknown>)[name];
        if (value === undefined || value === null) continue;
        if (!putAttribute(list, name, value, max, valueLength)) dropped++;
      } catch {
        // A getter that throws.
        dropped++;
      }
    }
  } catch {
    // A proxy that does not tell its names.
    dropped++;
  }
  return dropped;
}

/**
 * A value as an exporter may rely on it: a string or byte array within the limit, a boolean, a number (NaN and the infinities
 * included), or an array or plain object of such values and nulls, of no more than 4 levels and 1024 items, without cycles or getters. A
 * bigint becomes its decimal text, a Date its ISO form, an Error its message. What the caller changes later does not show.
 *
 * @returns undefined for what is no value: null, undefined, functions, symbols, and what throws when it is looked at.
 */
export function cleanValue(value: unknown, maxLength: number): unknown {
  switch (typeof value) {
    case "string":
      return value.length <= maxLength ? value : cut(value, maxLength);
    case "number":
    case "boolean":
      return value;
    case "bigint":
      return cut(String(value), maxLength);
    case "object":
      if (value === null) return undefined;
      try {
        return copy(value, maxLength, 1, { left: MAX_ITEMS });
      } catch {
        return undefined;
      }
    default:
      return undefined;
  }
}

function copy(value: object, maxLength: number, depth: number, budget: { left: number }): unknown {
  if (value instanceof Uint8Array) return Uint8Array.prototype.slice.call(value, 0, maxLength);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Error) return cleanValue(value.message, maxLength);
  if (depth > MAX_DEPTH) return null;
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    const { length } = value;
    for (let i = 0; i < length && budget.left > 0; i++) items.push(item(value[i], maxLength, depth, budget));
    return items;
  }
  const fields: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const name of Object.keys(value)) {
    if (budget.left <= 0) break;
    let field: unknown;
    try {
      field = (value as Record<string, unknown>)[name];
    } catch {
      field = null;
    }
    if (field !== undefined && typeof field !== "function") {
      fields[cut(name, maxLength)] = item(field, maxLength, depth, budget);
    }
  }
  return fields;
}

function item(value: unknown, maxLength: number, depth: number, budget: { left: number }): unknown {
  budget.left--;
  return (
    (typeof value === "object" && value !== null
      ? copy(value, maxLength, depth + 1, budget)
      : cleanValue(value, maxLength)) ?? null
  );
}

/** The beginning of a text, copied: a slice would keep the whole alive. */
function cut(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  // Not between the two halves of a pair.
  const last = text.charCodeAt(maxLength - 1);
  const length = last >= 0xd800 && last <= 0xdbff ? maxLength - 1 : maxLength;
  return Buffer.from(text.slice(0, length), "utf16le").toString("utf16le");
}
