import type { Attributes } from "@opentelemetry/api";
import type { AttributeList } from "../model.ts";
import { cleanValue } from "../trace/attributes.ts";

/** Longest text of an attribute of a series, characters: labels are names, not contents. */
const MAX_TEXT = 1024;
/** Attributes of one series; more are left out. */
const MAX_ATTRIBUTES = 64;

/** The attributes of a series, in the order of their names, and what two equal sets have in common. */
export interface AttributeSet {
  readonly key: string;
  readonly list: AttributeList;
}

const NO_ATTRIBUTES: AttributeSet = { key: "", list: [] };

/** The attributes under which measurements are counted that no further series was made for (OpenTelemetry, Metrics SDK, "Cardinality limits"). */
export const OVERFLOW: AttributeSet = { key: "overflow", list: ["otel.metric.overflow", true] };

/** Reads attributes as a caller gave them. Never throws: what is no attribute is left out. */
export function attributeSet(attributes: Attributes | undefined): AttributeSet {
  if (attributes === undefined || attributes === null) return NO_ATTRIBUTES;
  const list: (string | number)[] = [];
  try {
    const names = Object.keys(attributes);
    if (names.length === 0) return NO_ATTRIBUTES;
    for (const name of names.slice(0, MAX_ATTRIBUTES).sort()) {
      const value = valueOf(attributes, name);
      if (value !== undefined) list.push(name, value as string);
    }
  } catch {
    // A proxy that does not tell its names.
    return NO_ATTRIBUTES;
  }
  return list.length === 0 ? NO_ATTRIBUTES : { key: JSON.stringify(list), list };
}

function valueOf(attributes: Attributes, name: string): unknown {
  try {
    return cleanValue(attributes[name], MAX_TEXT);
  } catch {
    // A getter that throws.
    return undefined;
  }
}
