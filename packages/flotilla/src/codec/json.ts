import { isUtf8 } from "node:buffer";
import { ServiceError } from "../errors/service-error.ts";

const SHORTEST_REFUSED = '{"__proto__":1}'.length;

/**
 * Parses JSON from outside. Refuses what turns into prototype pollution once merged into another object: a `__proto__` key
 * anywhere, and a `constructor` key whose value has a `prototype`.
 *
 * @throws ServiceError `invalid_argument`: not JSON (quoting where), or a forbidden key.
 */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ServiceError("invalid_argument", `the message is not valid JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (mayHaveForbiddenKeys(text)) checkKeys(value);
  return value;
}

/**
 * The text of bytes that should be JSON. What is not UTF-8 would otherwise be stored with a `\ufffd` in its place.
 *
 * @throws ServiceError `invalid_argument` when they are not UTF-8 (RFC 8259, section 8.1).
 */
export function jsonText(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new ServiceError("invalid_argument", "the message is not valid UTF-8, as JSON is");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

/** Whether {@link checkKeys} has anything to look for. */
export function mayHaveForbiddenKeys(text: string): boolean {
  // Both keys can also be spelled with \u escapes; texts with neither word nor escape need no walk.
  if (text.length < SHORTEST_REFUSED) return false;
  return text.includes("__proto__") || text.includes("constructor") || text.includes("\\u");
}

/** What {@link parseJson} refuses, for JSON that is parsed already. @throws ServiceError `invalid_argument`. */
export function checkKeys(root: unknown): void {
  // A list of its own instead of recursion: depth is the sender's choice.
  const waiting: unknown[] = [root];
  for (let value = waiting.pop(); waiting.length > 0 || value !== undefined; value = waiting.pop()) {
    if (typeof value !== "object" || value === null) continue;
    if (Object.hasOwn(value, "__proto__")) throw forbidden("__proto__");
    if (Object.hasOwn(value, "constructor")) {
      const inner = (value as { constructor: unknown }).constructor;
      if (typeof inner === "object" && inner !== null && Object.hasOwn(inner, "prototype"))
        throw forbidden("constructor");
    }
    for (const child of Object.values(value)) if (typeof child === "object" && child !== null) waiting.push(child);
  }
}

function forbidden(key: string): ServiceError {
  return new ServiceError("invalid_argument", `the message has a key "${key}", which is refused: rename the field`);
}
