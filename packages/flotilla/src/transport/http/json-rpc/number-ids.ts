const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

const SPACE = /[ \t\r\n]*/y;
const NUMBER = /[-+.\deE]*/y;

/**
 * How the ids that are numbers are written, by the place of their request; of several ids in one request the last counts. One pass: what
 * `JSON.parse` tells of sources takes many times as long as parsing, and is recursive.
 *
 * @param text - valid JSON: a request, or where `batch` an array of them.
 */
export function numberIds(text: string, batch: boolean): readonly (string | undefined)[] {
  const ids: (string | undefined)[] = [];
  const requestDepth = batch ? 2 : 1;
  let place = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        if (depth === requestDepth) {
          const colon = skip(SPACE, text, end);
          // Other strings are values, or stand in an array.
          if (text.charCodeAt(colon) === COLON && JSON.parse(text.slice(at, end)) === "id") {
            const value = skip(SPACE, text, colon + 1);
            ids[place] = text.slice(value, skip(NUMBER, text, value)) || undefined;
          }
        }
        at = end - 1;
        break;
      }
      case OPEN_LIST:
      case OPEN_OBJECT:
        depth++;
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        depth--;
        break;
      case COMMA:
        if (batch && depth === 1) place++;
        break;
    }
  }
  return ids;
}

/** Behind the closing quote. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) return at + 1;
    if (char === BACKSLASH) at++;
  }
}

/** Behind what the pattern, which matches anywhere, takes up. */
function skip(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  pattern.test(text);
  return pattern.lastIndex;
}
