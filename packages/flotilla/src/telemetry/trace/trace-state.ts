import type { TraceState } from "@opentelemetry/api";
import { isTracestateKey, isTracestateValue, parseTracestate } from "../../metadata/tracestate.ts";

const MAX_LENGTH = 512;
const MAX_MEMBERS = 32;

/**
 * A tracestate as the OpenTelemetry API has it, immutable, read when first asked. A member that is set goes to the front (W3C Trace Context
 * level 2, section 3.5); what is invalid, or would be over 512 characters or 32 members, is not set.
 */
export class LazyTraceState implements TraceState {
  readonly #header: string;
  #members: readonly string[] | undefined = undefined;

  constructor(header: string) {
    this.#header = header;
  }

  get(key: string): string | undefined {
    const members = this.#read();
    const at = indexOf(members, key);
    return at < 0 ? undefined : members[at + 1];
  }

  set(key: string, value: string): TraceState {
    if (typeof key !== "string" || typeof value !== "string" || !isTracestateKey(key) || !isTracestateValue(value))
      return this;
    const others = without(this.#read(), key);
    if (others.length >= 2 * MAX_MEMBERS) return this;
    const header = format([key, value, ...others]);
    return header.length > MAX_LENGTH ? this : new LazyTraceState(header);
  }

  unset(key: string): TraceState {
    const members = this.#read();
    return indexOf(members, key) < 0 ? this : new LazyTraceState(format(without(members, key)));
  }

  serialize(): string {
    return format(this.#read());
  }

  #read(): readonly string[] {
    this.#members ??= parseTracestate(this.#header) ?? [];
    return this.#members;
  }
}

function indexOf(members: readonly string[], key: string): number {
  for (let i = 0; i < members.length; i += 2) if (members[i] === key) return i;
  return -1;
}

function without(members: readonly string[], key: string): string[] {
  const others: string[] = [];
  for (let i = 0; i < members.length; i += 2) if (members[i] !== key) others.push(members[i]!, members[i + 1]!);
  return others;
}

function format(members: readonly string[]): string {
  let header = "";
  for (let i = 0; i < members.length; i += 2) header += `${i === 0 ? "" : ","}${members[i]}=${members[i + 1]}`;
  return header;
}
