/** What stands where a value was. */
export const REDACTED = "[redacted]";

/** So many paths may be redacted. */
const MAX_PATHS = 1000;

interface Branch {
  readonly next: Map<string, Branch>;
  end: boolean;
}

/** Where a value stands, for {@link Redaction}: the branches of the tree of paths that may still match. Undefined: none. */
export type Place = readonly Branch[] | undefined;

/**
 * Paths of fields whose values are not written.
 *
 * `user.email` is the field `email` of the field `user`; `*` stands for any one name (`*.token`, `items[*].card`), `**.name` for a name at
 * any depth, `["a.b"]` for a name with a dot. Names are compared exactly.
 */
export class Redaction {
  /** The place of a line's own fields. */
  readonly root: Place;
  readonly #anywhere = new Set<string>();

  /** @throws RangeError when a path cannot be read, showing it. */
  constructor(paths: readonly string[] = []) {
    if (paths.length > MAX_PATHS)
      throw new RangeError(`logging: redact has ${paths.length} paths, of ${MAX_PATHS} at most`);
    const root = branch();
    for (const path of paths) {
      const names = parse(path);
      if (names[0] === "**") {
        if (names.length !== 2) throw bad(path, "** is followed by one name");
        this.#anywhere.add(names[1]!);
        continue;
      }
      let at = root;
      for (const name of names) {
        let next = at.next.get(name);
        if (next === undefined) at.next.set(name, (next = branch()));
        at = next;
      }
      at.end = true;
    }
    this.root = root.next.size === 0 ? undefined : [root];
  }

  /** Whether no value is ever redacted. */
  get isEmpty(): boolean {
    return this.root === undefined && this.#anywhere.size === 0;
  }

  /** The place of a member; `true` when its value must not be written. */
  enter(place: Place, name: string): Place | true {
    if (this.#anywhere.size > 0 && this.#anywhere.has(name)) return true;
    if (place === undefined) return undefined;
    const found: Branch[] = [];
    for (const { next } of place) {
      for (const branch of [next.get(name), next.get("*")]) {
        if (branch === undefined) continue;
        if (branch.end) return true;
        found.push(branch);
      }
    }
    return found.length === 0 ? undefined : found;
  }
}

function branch(): Branch {
  return { next: new Map(), end: false };
}

const SEGMENT = /\.?([^.[\]"]+)|\[(\*|\d+)\]|\[("(?:[^"\\]|\\.)*")\]/y;

function parse(path: string): string[] {
  const names: string[] = [];
  SEGMENT.lastIndex = 0;
  while (SEGMENT.lastIndex < path.length) {
    const from = SEGMENT.lastIndex;
    const match = SEGMENT.exec(path);
    if (match === null || (from === 0 && path.startsWith("."))) throw bad(path, `what stands at ${from} is no name`);
    names.push(match[1] ?? match[2] ?? (JSON.parse(match[3]!) as string));
  }
  if (names.length === 0) throw bad(path, "it is empty");
  if (names.lastIndexOf("**") > 0) throw bad(path, "** stands at the beginning only");
  return names;
}

function bad(path: string, why: string): RangeError {
  return new RangeError(
    `logging: redact cannot use the path ${JSON.stringify(path.slice(0, 100))}: ${why} (as in user.email, *.token, items[*].card, **.password)`,
  );
}
