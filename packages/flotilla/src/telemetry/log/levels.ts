/** How grave a line is, by pino's names. */
export type Level = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

/** From which level on lines are written; `silent` writes none. */
export type Threshold = Level | "silent";

/** What pino writes as `level`. */
export const levelNumbers: Readonly<Record<Threshold, number>> = {
  trace: 10,
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
  fatal: 60,
  silent: Number.POSITIVE_INFINITY,
};

const NAMES = Object.keys(levelNumbers) as readonly Threshold[];

/** The name of a level's number; that of the next lower one for numbers between, `trace` below all. */
export function levelName(number: number): Level {
  const at = Math.min(5, Math.max(0, Math.floor(number / 10) - 1));
  return NAMES[at] as Level;
}

/** Thresholds as `LOG_LEVEL` gives them. */
export interface LevelSpec {
  /** For all components that have none of their own; undefined when not said. */
  readonly level: Threshold | undefined;
  /** Undefined: no threshold of its own. */
  readonly components: Readonly<Record<string, Threshold | undefined>>;
}

/** Takes a component's own threshold back. */
const INHERIT = "inherit";

/** So many components may have a threshold of their own. */
export const MAX_COMPONENTS = 1000;

const COMPONENT = /^[\w./:@-]{1,100}$/;

/**
 * Reads `info,db=debug,http.client=warn`: a threshold for all, and of components; `db=inherit` for none of its own. Letters may be upper case.
 *
 * @param source - what the text is from, for the error.
 * @throws RangeError saying which part is wrong and what would be right.
 */
export function parseLevels(text: string, source = "LOG_LEVEL"): LevelSpec {
  let level: Threshold | undefined;
  const components: Record<string, Threshold | undefined> = Object.create(null) as Record<string, Threshold>;
  if (text.trim() === "") return { level, components };
  const members = text.split(",");
  if (members.length > MAX_COMPONENTS) throw new RangeError(`${source}: more than ${MAX_COMPONENTS} components`);
  for (const member of members) {
    const at = member.indexOf("=");
    const word = member.slice(at + 1);
    const wanted = at >= 0 && word.trim().toLowerCase() === INHERIT ? undefined : parseThreshold(word, source);
    if (at < 0) {
      if (level !== undefined)
        throw new RangeError(`${source}: has two levels for all, ${level} and ${wanted}: keep one`);
      level = wanted;
      continue;
    }
    const name = checkComponent(member.slice(0, at).trim(), source);
    if (name in components) throw new RangeError(`${source}: names the component ${name} twice`);
    components[name] = wanted;
  }
  return { level, components };
}

/** @throws RangeError when it is no level. */
function parseThreshold(text: string, source: string): Threshold {
  const name = text.trim().toLowerCase();
  if ((NAMES as readonly string[]).includes(name)) return name as Threshold;
  throw new RangeError(`${source}: ${shown(text)} is none of ${NAMES.join(", ")} (as in info,db=debug)`);
}

/** @throws RangeError when it cannot be the name of a component. */
export function checkComponent(name: string, source: string): string {
  if (COMPONENT.test(name)) return name;
  throw new RangeError(
    `${source}: ${shown(name)} is no name of a component: up to 100 letters, digits and any of _ . / : @ -`,
  );
}

function shown(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}
