import type { SpanData } from "../model.ts";

/** A span and where it stands in the drawing. */
export interface TreeRow {
  readonly span: SpanData;
  /** The lines before it: `│  ├─ `; empty for a root. */
  readonly prefix: string;
  /** The lines before what is written below it: `│  │  `. */
  readonly below: string;
}

/**
 * The spans as trees, a row each, children under their parent in the order of their starts. A span whose parent is not among them is a
 * root, and so is one of a circle of parents.
 */
export function treeRows(spans: readonly SpanData[]): TreeRow[] {
  const known = new Set(spans.map(({ spanId }) => spanId));
  const children = new Map<string | undefined, SpanData[]>();
  for (const span of spans) {
    const { parentSpanId: parent } = span;
    const key = parent !== undefined && parent !== span.spanId && known.has(parent) ? parent : undefined;
    const siblings = children.get(key);
    if (siblings === undefined) children.set(key, [span]);
    else siblings.push(span);
  }
  for (const siblings of children.values()) siblings.sort((a, b) => a.startEpochMs - b.startEpochMs);
  const rows: TreeRow[] = [];
  const drawn = new Set<SpanData>();
  const draw = (root: SpanData): void => {
    // A stack of what is still to draw, the next one last.
    const stack: TreeRow[] = [{ span: root, prefix: "", below: "" }];
    for (let row = stack.pop(); row !== undefined; row = stack.pop()) {
      if (drawn.has(row.span)) continue;
      drawn.add(row.span);
      rows.push(row);
      const below = children.get(row.span.spanId) ?? [];
      for (let i = below.length - 1; i >= 0; i--) {
        const last = i === below.length - 1;
        stack.push({
          span: below[i]!,
          prefix: `${row.below}${last ? "└─ " : "├─ "}`,
          below: `${row.below}${last ? "   " : "│  "}`,
        });
      }
    }
  };
  for (const root of children.get(undefined) ?? []) draw(root);
  for (const span of spans) if (!drawn.has(span)) draw(span);
  return rows;
}
