import { checkComponent, type Level, type LevelSpec, levelNumbers, MAX_COMPONENTS, type Threshold } from "./levels.ts";
import { componentPino, type Pino } from "./pino-root.ts";

/** A part of a program that has a threshold of its own. */
export interface Component {
  readonly name: string | undefined;
  /** Lines of this level's number and above are written. */
  readonly threshold: number;
  /** Whether it writes anything at all. */
  readonly silent: boolean;
  /** For libraries that are given a logger: follows the threshold. */
  readonly pino: Pino;
  /** Writes whatever it is given: who calls it has looked at the threshold. */
  readonly raw: Pino;
}

/** The thresholds in force. */
export interface Levels {
  /** For components that have none of their own. */
  readonly level: Threshold;
  /** Thresholds of their own. */
  readonly components: Readonly<Record<string, Threshold>>;
  /** Whether debug lines are written whatever the thresholds say. */
  readonly debug: boolean;
}

class LiveComponent implements Component {
  readonly name: string | undefined;
  readonly pino: Pino;
  readonly raw: Pino;
  threshold = 0;
  silent = false;

  constructor(name: string | undefined, pino: Pino) {
    this.name = name;
    this.pino = pino;
    this.raw = pino.child({}, { level: "trace" });
  }
}

/**
 * The threshold of every component, changed while the program runs. `db.pool` follows `db` when it has none of its own.
 *
 * A logger keeps its component, not its level, so that all loggers there are follow a change; children of pino's made with a level of their own do
 * not, by pino's rules.
 */
export class LevelTable {
  readonly root: Component;
  #level: Threshold;
  readonly #own = new Map<string, Threshold>();
  readonly #live = new Map<string, LiveComponent>();
  readonly #root: LiveComponent;
  readonly #start: LevelSpec;
  #debug = false;

  constructor(pino: Pino, spec: LevelSpec) {
    this.root = this.#root = new LiveComponent(undefined, pino);
    this.#start = spec;
    this.#level = "info";
    this.reset();
  }

  /** @throws RangeError when it cannot be the name of a component. Past the thousandth name all are the root. */
  of(name: string): Component {
    let component = this.#live.get(name);
    if (component !== undefined) return component;
    checkComponent(name, "logging");
    if (this.#live.size >= MAX_COMPONENTS) return this.root;
    component = new LiveComponent(name, componentPino(this.root.pino, name));
    this.#live.set(name, component);
    this.#apply(component);
    return component;
  }

  get(): Levels {
    const components: Record<string, Threshold> = Object.create(null) as Record<string, Threshold>;
    for (const [name, level] of [...this.#own].sort(([a], [b]) => (a < b ? -1 : 1))) components[name] = level;
    return { level: this.#level, components, debug: this.#debug };
  }

  /** The threshold that a component's lines meet. */
  effective(name: string): Threshold {
    return this.#effective(this.#ownOf(name) ?? this.#level);
  }

  /** Names of the components that have logged, or were asked for. */
  get names(): readonly string[] {
    return [...this.#live.keys()].sort();
  }

  /**
   * Changes thresholds.
   *
   * @param components - undefined: follows the others again.
   * @throws RangeError when a name cannot be a component's, or when there are too many: then nothing is changed.
   */
  set(level: Threshold | undefined, components: Readonly<Record<string, Threshold | undefined>> = {}): void {
    const changes = Object.entries(components);
    for (const [name] of changes) checkComponent(name, "logging");
    const added = changes.filter(([name, wanted]) => wanted !== undefined && !this.#own.has(name)).length;
    if (this.#own.size + added > MAX_COMPONENTS) {
      throw new RangeError(`logging: at most ${MAX_COMPONENTS} components may have a level of their own`);
    }
    if (level !== undefined) this.#level = level;
    for (const [name, wanted] of changes) {
      if (wanted === undefined) this.#own.delete(name);
      else this.#own.set(name, wanted);
    }
    this.#applyAll();
  }

  /** Goes back to the thresholds of the start. */
  reset(): void {
    this.#debug = false;
    this.#own.clear();
    this.set(this.#start.level ?? "info", this.#start.components);
  }

  /** Writes debug lines of all components, or goes back to the thresholds. @returns whether they are written now. */
  toggleDebug(): boolean {
    this.#debug = !this.#debug;
    this.#applyAll();
    return this.#debug;
  }

  #applyAll(): void {
    this.#apply(this.#root);
    for (const component of this.#live.values()) this.#apply(component);
  }

  #apply(component: LiveComponent): void {
    const own = component.name === undefined ? undefined : this.#ownOf(component.name);
    const level = this.#effective(own ?? this.#level);
    component.threshold = levelNumbers[level];
    component.silent = level === "silent";
    component.pino.level = level;
  }

  #ownOf(name: string): Threshold | undefined {
    for (let prefix = name; ; ) {
      const own = this.#own.get(prefix);
      if (own !== undefined) return own;
      const dot = prefix.lastIndexOf(".");
      if (dot < 0) return undefined;
      prefix = prefix.slice(0, dot);
    }
  }

  #effective(level: Threshold): Threshold {
    const debug: Level = "debug";
    return this.#debug && levelNumbers[level] > levelNumbers[debug] ? debug : level;
  }
}
