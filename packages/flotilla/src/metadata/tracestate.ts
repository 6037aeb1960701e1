const MAX_LENGTH = 512;
const MAX_MEMBERS = 32;
const MAX_KEY = 256;
const MAX_VALUE = 256;

const COMMA = 0x2c;
const EQUALS = 0x3d;
const SPACE = 0x20;
const TAB = 0x09;

/**
 * The members of a tracestate header (W3C Trace Context level 2, section 3.3), name and value in turn, in their order. Empty
 * members are skipped.
 *
 * @returns undefined when the header must be discarded: over 512 characters, over 32 members, a name or a value that is
 *   not valid. A name that occurs twice does not spoil it; its first member counts.
 */
export function parseTracestate(header: string): string[] | undefined {
  if (header.length > MAX_LENGTH) return undefined;
  const members: string[] = [];
  let at = 0;
  while (at <= header.length) {
    const comma = header.indexOf(",", at);
    const next = comma === -1 ? header.length : comma;
    let from = at;
    let to = next;
    while (from < to && isBlank(header.charCodeAt(from))) from++;
    while (to > from && isBlank(header.charCodeAt(to - 1))) to--;
    if (from < to) {
      const equals = header.indexOf("=", from);
      if (equals === -1 || equals >= to) return undefined;
      const name = header.slice(from, equals);
      const value = header.slice(equals + 1, to);
      if (members.length === 2 * MAX_MEMBERS || !isTracestateKey(name) || !isTracestateValue(value)) return undefined;
      if (!hasKey(members, name)) members.push(name, value);
    }
    at = next + 1;
  }
  return members;
}

/** Whether a tracestate header may be passed on as it came. */
export function isTracestate(header: string): boolean {
  return (parseTracestate(header)?.length ?? 0) > 0;
}

/** Whether it may name a member of a tracestate: `key` or `tenant@system`. */
export function isTracestateKey(key: string): boolean {
  const { length } = key;
  if (length === 0 || length > MAX_KEY) return false;
  const at = key.indexOf("@");
  if (at === -1) return isLower(key.charCodeAt(0)) && isKeyRest(key, 1, length);
  // A tenant of up to 241 characters, a system of up to 14.
  return (
    at > 0 &&
    at <= 241 &&
    length - at - 1 <= 14 &&
    (isLower(key.charCodeAt(0)) || isDigit(key.charCodeAt(0))) &&
    isKeyRest(key, 1, at) &&
    isLower(key.charCodeAt(at + 1)) &&
    isKeyRest(key, at + 2, length)
  );
}

/** Whether it may be the value of a member of a tracestate: 1 to 256 visible characters or spaces, no comma, no equals sign, no space at the end. */
export function isTracestateValue(value: string): boolean {
  const { length } = value;
  if (length === 0 || length > MAX_VALUE || value.charCodeAt(length - 1) === SPACE) return false;
  for (let i = 0; i < length; i++) {
    const char = value.charCodeAt(i);
    if (char < SPACE || char > 0x7e || char === COMMA || char === EQUALS) return false;
  }
  return true;
}

function hasKey(members: readonly string[], name: string): boolean {
  for (let i = 0; i < members.length; i += 2) if (members[i] === name) return true;
  return false;
}

function isKeyRest(key: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const char = key.charCodeAt(i);
    // _ - * /
    if (!isLower(char) && !isDigit(char) && char !== 0x5f && char !== 0x2d && char !== 0x2a && char !== 0x2f)
      return false;
  }
  return true;
}

function isLower(char: number): boolean {
  return char >= 0x61 && char <= 0x7a;
}

function isDigit(char: number): boolean {
  return char >= 0x30 && char <= 0x39;
}

function isBlank(char: number): boolean {
  return char === SPACE || char === TAB;
}
