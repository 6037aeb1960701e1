import { cleanValue } from "./attributes.ts";

/**
 * The attributes of an `exception` event, by the semantic conventions: `exception.type` is the code when there is one, else the name, as
 * the official SDK has it.
 *
 * @returns undefined when there is nothing to tell. Never throws, whatever was thrown.
 */
export function exceptionAttributes(thrown: unknown, maxLength: number): Record<string, string> | undefined {
  if (typeof thrown === "string") return { "exception.message": thrown };
  if (thrown === undefined || thrown === null) return undefined;
  if (typeof thrown === "number" || typeof thrown === "boolean" || typeof thrown === "bigint") {
    return { "exception.message": String(thrown) };
  }
  if (typeof thrown !== "object") return { "exception.message": `a ${typeof thrown} was thrown` };
  const attributes: Record<string, string> = {};
  const type = field(thrown, "code", maxLength) ?? field(thrown, "name", maxLength);
  const message = field(thrown, "message", maxLength);
  const stack = field(thrown, "stack", maxLength);
  if (type !== undefined) attributes["exception.type"] = type;
  if (message !== undefined) attributes["exception.message"] = message;
  if (stack !== undefined) attributes["exception.stacktrace"] = stack;
  return type === undefined && message === undefined ? undefined : attributes;
}

/** A field that is text or a number; undefined when it is neither, empty, or throws. */
function field(thrown: object, name: string, maxLength: number): string | undefined {
  try {
    const value = (thrown as Record<string, unknown>)[name];
    if (typeof value === "number") return String(value);
    return typeof value === "string" && value.length > 0 ? (cleanValue(value, maxLength) as string) : undefined;
  } catch {
    return undefined;
  }
}
