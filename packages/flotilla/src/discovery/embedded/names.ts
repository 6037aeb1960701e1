import { MAX_NAME_LENGTH } from "../check.ts";

/** File systems allow 255 bytes; the rest is for the token and the suffix. */
const MAX_ENCODED = 220;
const TOKEN = /^[0-9a-f]{16}$/;
const DRAFT = /^\.[0-9a-f]{16}\.[0-9a-f]{16}\.tmp$/;
const SUFFIX = ".json";

/**
 * A service's name or an instance's id as (part of) a file name: percent-encoded but for letters, digits, `-`, `_` and inner
 * dots, so that no name leaves its folder, is hidden, or means anything to a shell or another file system.
 *
 * @returns undefined when the result would be too long for a file system.
 */
export function encodeName(name: string): string | undefined {
  if (name.length > MAX_NAME_LENGTH) return undefined;
  const encoded = encodeURIComponent(name)
    .replaceAll(/[!~*'()]/g, percent)
    .replace(/^\./, percent)
    .replace(/\.$/, percent);
  return encoded.length > MAX_ENCODED ? undefined : encoded;
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** The file of a lease: `<instance>~<token>.json`. The token is the lease's own, so no two processes ever write one file. */
export function leaseName(encodedId: string, token: string): string {
  return `${encodedId}~${token}${SUFFIX}`;
}

/** The parts of a lease's file name; undefined for any other name. */
export function parseLeaseName(name: string): { readonly encodedId: string; readonly token: string } | undefined {
  const mark = name.lastIndexOf("~");
  if (mark <= 0 || !name.endsWith(SUFFIX)) return undefined;
  const token = name.slice(mark + 1, -SUFFIX.length);
  return TOKEN.test(token) ? { encodedId: name.slice(0, mark), token } : undefined;
}

/** The name of a file on its way to or from being a lease; hidden, so that no watch takes it for one. */
export function draftName(token: string, unique: string): string {
  return `.${token}.${unique}.tmp`;
}

/** Whether a name is that of a draft. */
export function isDraft(name: string): boolean {
  return DRAFT.test(name);
}
