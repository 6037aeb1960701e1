/** A line of a {@link Panel}. */
export interface Line {
  readonly name: string;
  /** One value an interval. */
  readonly values: readonly number[];
}

/** One picture of a {@link plot}. */
export interface Panel {
  readonly title: string;
  /** What the values are: `calls/s`, `ms`. */
  readonly unit: string;
  readonly lines: readonly Line[];
  /** Values above are cut off. Default: the greatest there is. */
  readonly max?: number;
  /** Length of the interval each value stands for, milliseconds. Default: that of the plot. */
  readonly intervalMs?: number;
  /** A level to compare with. */
  readonly mark?: { readonly name: string; readonly at: number };
}

/** A table of values as coloured cells; has its place among the panels of a {@link plot}. */
export interface Grid {
  readonly title: string;
  readonly unit: string;
  /** Written in two lines where there is a space. */
  readonly columns: readonly string[];
  /** Infinity is drawn as "never". */
  readonly rows: readonly Line[];
  /** Greater values are drawn as bad. */
  readonly limit: number;
}

const WIDTH = 760;
const HEIGHT = 200;
const LEFT = 64;
const RIGHT = 170;
const TOP = 34;
const BOTTOM = 34;
const ROW = 30;
/** Told apart by people who see colours differently, too (Okabe and Ito). */
const GOOD = "#009e73";
const BAD = "#d55e00";
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/**
 * Panels one below the other over the same time, and grids, as an SVG document.
 *
 * @param intervalMs - length of the interval each value of a line stands for.
 */
export function plot(title: string, panels: readonly (Panel | Grid)[], intervalMs: number): string {
  let height = 40;
  const body = panels.map((panel) => {
    const grid = "columns" in panel;
    const drawn = grid ? drawGrid(panel) : draw(panel, intervalMs);
    const at = height;
    height += grid ? TOP + BOTTOM + 16 + panel.rows.length * ROW : HEIGHT;
    return `<g transform="translate(0 ${at})">${drawn}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="system-ui, sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="26" font-size="16" font-weight="600">${escape(title)}</text>
${body.join("\n")}
</svg>
`;
}

function drawGrid({ title, unit, columns, rows, limit }: Grid): string {
  const left = LEFT + 40;
  const wide = (WIDTH - left - 20) / columns.length;
  const parts = [`<text x="${LEFT}" y="20" font-weight="600">${escape(title)}</text>`];
  columns.forEach((column, k) => {
    column.split(" ", 2).forEach((word, line) => {
      const rest = line === 0 ? word : column.slice(column.indexOf(" ") + 1);
      const at = `x="${(left + (k + 0.5) * wide).toFixed(1)}" y="${TOP + 12 + line * 14}"`;
      parts.push(`<text ${at} text-anchor="middle" fill="#555">${escape(rest)}</text>`);
    });
  });
  rows.forEach(({ name, values }, i) => {
    const y = TOP + 34 + i * ROW;
    const middle = `y="${y + ROW / 2}" dominant-baseline="middle"`;
    parts.push(`<text x="${left - 8}" ${middle} text-anchor="end" fill="#555">${escape(name)}</text>`);
    values.forEach((value, k) => {
      const x = (left + k * wide).toFixed(1);
      const bad = value > limit;
      const opacity = bad ? 0.85 : (0.15 + (0.5 * value) / limit).toFixed(2);
      const text = value === Infinity ? "never" : `${short(value)} ${escape(unit)}`;
      parts.push(
        `<rect x="${x}" y="${y}" width="${(wide - 2).toFixed(1)}" height="${ROW - 2}" fill="${bad ? BAD : GOOD}" fill-opacity="${opacity}"/>`,
        `<text x="${(left + (k + 0.5) * wide - 1).toFixed(1)}" ${middle} text-anchor="middle"${bad ? ' fill="#fff"' : ""}>${text}</text>`,
      );
    });
  });
  return parts.join("\n");
}

function draw({ title, unit, lines, max, mark, intervalMs }: Panel, plotMs: number): string {
  const count = Math.max(2, ...lines.map(({ values }) => values.length));
  const greatest = Math.max(
    mark?.at ?? 0,
    ...lines.flatMap(({ values }) => values.filter((value) => value < Infinity)),
  );
  const top = max ?? (nice(greatest) || 1);
  const width = WIDTH - LEFT - RIGHT;
  const high = HEIGHT - TOP - BOTTOM;
  const x = (i: number): string => (LEFT + (i / (count - 1)) * width).toFixed(1);
  const y = (value: number): string => (TOP + high * (1 - Math.min(value, top) / top)).toFixed(1);
  const parts = [`<text x="${LEFT}" y="20" font-weight="600">${escape(title)}</text>`];
  for (const share of [0, 0.5, 1]) {
    const at = y(top * share);
    parts.push(
      `<line x1="${LEFT}" x2="${LEFT + width}" y1="${at}" y2="${at}" stroke="#ddd"/>`,
      `<text x="${LEFT - 8}" y="${at}" text-anchor="end" dominant-baseline="middle" fill="#555">${short(top * share)}</text>`,
    );
  }
  parts.push(`<text x="${LEFT - 8}" y="20" text-anchor="end" fill="#555">${escape(unit)}</text>`);
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const seconds = (share * count * (intervalMs ?? plotMs)) / 1000;
    const at = LEFT + share * width;
    parts.push(`<text x="${at}" y="${TOP + high + 18}" text-anchor="middle" fill="#555">${short(seconds)} s</text>`);
  }
  if (mark !== undefined) {
    parts.push(
      `<line x1="${LEFT}" x2="${LEFT + width}" y1="${y(mark.at)}" y2="${y(mark.at)}" stroke="#888" stroke-dasharray="4 3"/>`,
      `<text x="${LEFT + width - 4}" y="${Number(y(mark.at)) - 5}" text-anchor="end" fill="#888">${escape(mark.name)}</text>`,
    );
  }
  lines.forEach(({ name, values }, i) => {
    const colour = COLOURS[i % COLOURS.length]!;
    const points = values.map((value, k) => `${x(k)},${y(value)}`).join(" ");
    const row = TOP + 14 + i * 16;
    parts.push(
      `<polyline points="${points}" fill="none" stroke="${colour}" stroke-width="1.6" stroke-linejoin="round"/>`,
      `<rect x="${LEFT + width + 8}" y="${row + 8}" width="12" height="3" fill="${colour}"/>`,
      `<text x="${LEFT + width + 26}" y="${row + 13}">${escape(name)}</text>`,
    );
  });
  return parts.join("\n");
}

/** The next of 1, 2, 5, 10, 20, 50, ... */
function nice(value: number): number {
  if (value <= 0) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value)! * power;
}

function short(value: number): string {
  return value >= 1000 ? `${Number((value / 1000).toPrecision(3))}k` : String(Number(value.toPrecision(3)));
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
