import { type ChildLoggerOptions, type Logger, pino } from "pino";
import { Container, type CopyRules, isSafeFields, type SafeFields, safeFields } from "./contain.ts";
import type { Level } from "./levels.ts";

/** A logger of pino's. */
export type Pino = Logger;

/** Names that a line has itself. */
export const lineNames: ReadonlySet<string> = new Set(["level", "time", "msg", "component", "trace_id", "span_id"]);

/** Characters of a line that are the logger's own. */
export const FRAME = 512;

type LogMethod = (this: Pino, ...args: readonly unknown[]) => void;

/** What the root logger is made of. */
export interface PinoSetting {
  readonly rules: CopyRules;
  /** Fields of every line. */
  readonly base: SafeFields;
  /** Milliseconds since the epoch, asked for every line. */
  epoch(): number;
  admit(level: number, message: string): boolean;
  readonly destination: { write(line: string): void; flushSync(): void };
}

/**
 * The root logger: pino's levels, children and lines, with every value copied before pino looks at it. A line that did not come through
 * Flotilla's own loggers (a library was given pino) is treated alike.
 */
export function createPino(setting: PinoSetting): Pino {
  const { rules, base, destination } = setting;
  const root = pino(
    {
      base: bindingsOf(base),
      timestamp: () => `,"time":${setting.epoch()}`,
      // Errors have been copied when pino sees them.
      serializers: { err: (error: unknown) => error },
      hooks: {
        logMethod(this: Pino, args: readonly unknown[], method: LogMethod, level: number) {
          const [first, second] = args;
          if (isSafeFields(first)) return method.call(this, first, second);
          const bare = typeof first !== "object" || first === null;
          let [message, ...parameters] = bare ? args : args.slice(1);
          if (!bare && message === undefined) message = messageOf(first);
          if (!setting.admit(level, typeof message === "string" ? message : "")) return;
          const container = new Container(rules, rules.limits.lineLength - FRAME);
          const text = asText(container, message);
          parameters = parameters.map((value) => container.field("msg", value));
          const fields = safeFields();
          if (!bare) container.addFields(fields, first, lineNames);
          method.call(this, fields, text, ...parameters);
        },
      },
    },
    destination,
  );
  const child: (this: Pino, bindings: SafeFields, options?: ChildLoggerOptions) => Pino = Reflect.get(root, "child");
  // Children inherit this from the root.
  Reflect.set(root, "child", function (this: Pino, bindings: object, options?: ChildLoggerOptions) {
    const fields = safeFields();
    // Bindings of the logging's own making may have its names.
    const reserved = isSafeFields(bindings) ? noNames : lineNames;
    new Container(rules, rules.limits.lineLength / 4).addFields(fields, bindings, reserved);
    return child.call(this, bindingsOf(fields), options);
  });
  return root;
}

/** The logger of a component. */
export function componentPino(root: Pino, component: string): Pino {
  const bindings = safeFields();
  bindings["component"] = component;
  return root.child(bindings);
}

/** Pino calls `hasOwnProperty` of what it binds. */
function bindingsOf(fields: SafeFields): Record<string, unknown> {
  const { ["hasOwnProperty"]: own, ...rest } = fields as Record<string, unknown>;
  return own === undefined ? rest : { ...rest, "app.hasOwnProperty": own };
}

const noNames: ReadonlySet<string> = new Set();

function messageOf(first: unknown): unknown {
  try {
    return first instanceof Error ? first.message : undefined;
  } catch {
    return undefined;
  }
}

/** A message as text, whatever was given for one. */
export function asText(container: Container, message: unknown): string {
  if (typeof message === "string") return container.string(message);
  if (message === undefined) return "";
  const copy = container.field("msg", message);
  return typeof copy === "string" ? copy : container.string(JSON.stringify(copy) ?? "");
}

/** Writes a line of fields that were copied before. */
export function writeLine(logger: Pino, level: Level, fields: SafeFields, message: string): void {
  logger[level](fields, message);
}
