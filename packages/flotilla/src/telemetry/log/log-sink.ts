import type { AttributeList, LogData, Scope } from "../model.ts";
import { levelName } from "./levels.ts";

/** Where log records go beside the lines that are written, such as a collector. Nothing here may throw or take long. */
export interface LogSink {
  emit(record: LogData): void;
}

/** A line, read back. */
export interface LineFields {
  readonly level: number;
  readonly time: number;
  readonly msg: string;
  readonly [name: string]: unknown;
}

type Attributes = AttributeList[number][];

const ROOT: Scope = { name: "flotilla", version: undefined, schemaUrl: undefined };
/** By pino's level divided by ten, OpenTelemetry's SeverityNumber: 1 trace, 5 debug, 9 info, 13 warn, 17 error, 21 fatal. */
const SEVERITIES = [1, 1, 5, 9, 13, 17, 21] as const;

/** Makes records of OpenTelemetry's data model of lines: what is redacted in the one is in the other. */
export function recordMaker(): (line: LineFields, traceFlags: number) => LogData {
  // As many as there are components: those are bounded.
  const scopes = new Map<string, Scope>();
  const scopeOf = (name: string): Scope => {
    let scope = scopes.get(name);
    if (scope === undefined) scopes.set(name, (scope = { name, version: undefined, schemaUrl: undefined }));
    return scope;
  };
  return (line, traceFlags) => {
    const { level, time, msg, trace_id, span_id, component, err, ...fields } = line;
    const attributes: Attributes = [];
    for (const name in fields) attributes.push(name, attribute(fields[name]));
    if (typeof err === "object" && err !== null) addException(attributes, err as Record<string, unknown>);
    else if (err !== undefined) attributes.push("err", attribute(err));
    return {
      epochMs: time,
      severityNumber: SEVERITIES[Math.min(6, Math.max(0, Math.floor(level / 10)))]!,
      severityText: levelName(level).toUpperCase(),
      body: typeof msg === "string" ? msg : "",
      attributes,
      scope: typeof component === "string" ? scopeOf(component) : ROOT,
      traceId: typeof trace_id === "string" ? trace_id : undefined,
      spanId: typeof span_id === "string" ? span_id : undefined,
      traceFlags: trace_id === undefined ? 0 : traceFlags,
      eventName: undefined,
    };
  };
}

/** By the semantic conventions of exceptions in logs. */
function addException(attributes: Attributes, err: Record<string, unknown>): void {
  const { type, message, stack, ...rest } = err;
  if (typeof type === "string") attributes.push("exception.type", type);
  if (typeof message === "string") attributes.push("exception.message", message);
  if (typeof stack === "string") attributes.push("exception.stacktrace", stack);
  for (const name in rest) attributes.push(`err.${name}`, attribute(rest[name]));
}

function attribute(value: unknown): AttributeList[number] {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return value;
    default:
      return JSON.stringify(value) ?? "";
  }
}
