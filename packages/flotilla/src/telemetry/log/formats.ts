import type { Environment } from "../model.ts";
import { printable } from "../trace/terminal-text.ts";
import { levelName } from "./levels.ts";
import type { LineFields } from "./log-sink.ts";

/** How lines look: JSON (one object a line, as pino writes it), `logfmt` (`name=value`), or `pretty` for people at a terminal. */
export type LogFormat = "json" | "logfmt" | "pretty";

export const logFormats: readonly LogFormat[] = ["json", "logfmt", "pretty"];

/** Makes text of a line, its newline included. Undefined: JSON as it is. */
export type Formatter = ((line: LineFields) => string) | undefined;

/** @param colour - for `pretty`. */
export function formatterOf(format: LogFormat, colour: boolean): Formatter {
  if (format === "json") return undefined;
  return format === "logfmt" ? logfmt : (line) => pretty(line, colour);
}

/** Whether to colour: not when `NO_COLOR` is set (no-color.org), always when `FORCE_COLOR` is, else on a terminal. */
export function colourFrom(env: Environment, terminal: boolean): boolean {
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  const force = env["FORCE_COLOR"];
  if (force !== undefined) return force !== "0" && force !== "false";
  return terminal && env["TERM"] !== "dumb";
}

/** `time=2026-01-02T03:04:05.678Z level=info msg="order placed" cargo=7` */
function logfmt({ level, time, msg, ...fields }: LineFields): string {
  let text = `time=${new Date(time).toISOString()} level=${levelName(level)} msg=${logfmtValue(msg)}`;
  for (const name in fields) text += ` ${name.replace(/[\s="\p{C}]/gu, "_") || "_"}=${logfmtValue(fields[name])}`;
  return `${text}\n`;
}

function logfmtValue(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /^[^\s="\\\p{C}]+$/u.test(text) ? text : JSON.stringify(text).replace(/[\p{C}\u2028\u2029]/gu, escapeChar);
}

function escapeChar(char: string): string {
  return Array.from({ length: char.length }, (_, i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, "0")}`).join(
    "",
  );
}

const COLOURS: Readonly<Record<string, string>> = {
  trace: "2",
  debug: "34",
  info: "32",
  warn: "33",
  error: "31",
  fatal: "1;31",
};

function pretty(line: LineFields, colour: boolean): string {
  // A terminal shows one service, and a trace is found by its own id.
  const { level, time, msg, component, err, service: _, span_id: __, ...fields } = line;
  const paint = (code: string, text: string): string => (colour ? `\u001B[${code}m${text}\u001B[0m` : text);
  const name = levelName(level);
  const clock = new Date(time).toISOString().slice(11, 23);
  let text = `${paint("2", clock)} ${paint(COLOURS[name]!, name.toUpperCase().padEnd(5))} `;
  if (typeof component === "string") text += `${paint("36", printable(component))} `;
  text += printable(msg);
  for (const field in fields) {
    const value = fields[field];
    const shown = typeof value === "string" && /^[^\s="]+$/.test(value) ? value : JSON.stringify(value);
    text += ` ${paint("2", `${printable(field)}=`)}${printable(shown)}`;
  }
  return `${text}\n${err === undefined ? "" : prettyError(err, "", paint)}`;
}

function prettyError(err: unknown, label: string, paint: (code: string, text: string) => string): string {
  if (typeof err !== "object" || err === null) return `    ${label}${paint("31", printable(JSON.stringify(err)))}\n`;
  const { type, message, stack, cause } = err as Record<string, unknown>;
  const told = typeof stack === "string" ? stack : `${String(type)}: ${String(message)}`;
  const [first = "", ...rest] = told.split("\n").slice(0, 30);
  let text = `    ${label}${paint("31", printable(first))}\n`;
  for (const frame of rest) text += `    ${paint("2", printable(frame))}\n`;
  return cause === undefined ? text : text + prettyError(cause, "caused by ", paint);
}
