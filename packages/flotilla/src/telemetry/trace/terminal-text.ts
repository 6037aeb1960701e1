/** Colours of the terminal, by what they mean. */
export interface Paint {
  dim(text: string): string;
  bold(text: string): string;
  error(text: string): string;
  /** @param kind - SpanKind of the OpenTelemetry API. */
  bar(text: string, kind: number): string;
}

const KIND_COLOURS = ["34", "36", "33", "35", "35"] as const;

const plain: Paint = { dim: same, bold: same, error: same, bar: same };

const coloured: Paint = {
  dim: (text) => sgr("2", text),
  bold: (text) => sgr("1", text),
  error: (text) => sgr("31", text),
  bar: (text, kind) => sgr(KIND_COLOURS[kind] ?? KIND_COLOURS[0], text),
};

export function paintFor(colour: boolean): Paint {
  return colour ? coloured : plain;
}

function same(text: string): string {
  return text;
}

function sgr(code: string, text: string): string {
  return text === "" ? "" : `\u001B[${code}m${text}\u001B[0m`;
}

/** Text that cannot move the cursor, change colours or turn the direction of writing. */
export function printable(text: string): string {
  // Long enough for any terminal, and all that is looked at.
  return text.slice(0, 1_000).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, "\u00B7");
}

/** How many columns printable text takes. */
export function widthOf(text: string): number {
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

/** The text in exactly so many columns: filled up with spaces, or cut with an ellipsis. */
export function fit(text: string, columns: number): string {
  const width = widthOf(text);
  if (width <= columns) return text + " ".repeat(columns - width);
  let kept = "";
  let used = 0;
  for (const char of text) {
    const next = charWidth(char);
    if (used + next > columns - 1) break;
    kept += char;
    used += next;
  }
  return columns < 1 ? "" : `${kept}\u2026${" ".repeat(columns - 1 - used)}`;
}

/** East Asian wide characters and emoji take two columns, marks that combine none. */
function charWidth(char: string): number {
  const code = char.codePointAt(0)!;
  if (code < 0x300) return 1;
  if (/\p{M}/u.test(char)) return 0;
  const wide =
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd);
  return wide ? 2 : 1;
}

/** A duration in a unit that suits it: `340 µs`, `12.4 ms`, `1.20 s`. */
export function formatMs(ms: number): string {
  if (ms < 0.9995) return `${(ms * 1e3).toFixed(0)} \u00B5s`;
  if (ms < 9.995) return `${ms.toFixed(2)} ms`;
  if (ms < 99.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  return `${(ms / 1e3).toFixed(ms < 99_995 ? 2 : 0)} s`;
}
