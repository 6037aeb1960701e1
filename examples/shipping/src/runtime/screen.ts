/** Where lines are shown again and again in the same place. */
export interface Screen {
  draw(lines: readonly string[]): void;
  /** Leaves the last lines standing and gives the cursor back. */
  close(): void;
}

const hideCursor = "\u001b[?25l";
const showCursor = "\u001b[?25h";
const clearToEndOfLine = "\u001b[K";
const clearBelow = "\u001b[J";

/** Draws on a terminal, in place: from the line where the cursor is, over what was drawn before. */
export function createScreen(out: { write(text: string): unknown }): Screen {
  let drawn = 0;
  return {
    draw: (lines) => {
      const up = drawn === 0 ? hideCursor : `\u001b[${drawn}F`;
      out.write(`${up}${lines.map((line) => `${line}${clearToEndOfLine}\n`).join("")}${clearBelow}`);
      drawn = lines.length;
    },
    close: () => {
      if (drawn > 0) out.write(showCursor);
      drawn = 0;
    },
  };
}
