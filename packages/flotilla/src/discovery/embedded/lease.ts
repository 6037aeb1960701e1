import type { Instance } from "../../endpoint/instance.ts";
import { frozenInstance, instanceFault } from "../check.ts";
import { encodeName, parseLeaseName } from "./names.ts";

/** A lease larger than this is neither written nor read, bytes. */
export const MAX_LEASE_BYTES = 64 * 1024;
/** Legal time to live of a lease, milliseconds. */
export const MIN_TTL_MS = 100;
/** Longest time to live of a lease, milliseconds: one hour. */
export const MAX_TTL_MS = 3_600_000;

/** What a lease says. It never changes once written; only its file's modification time does, with every heartbeat. */
export interface Lease {
  readonly service: string;
  readonly instance: Instance;
  /** Random, 16 hexadecimal digits: whose lease it is. */
  readonly token: string;
  /** When it was taken, milliseconds since the epoch. Of two leases of one id the later one counts. */
  readonly sinceMs: number;
  readonly ttlMs: number;
  /** Who took it, for error messages. */
  readonly pid: number;
}

const FORMAT = "flotilla-lease/1";

/** The text of a lease file. */
export function leaseText(lease: Lease): string {
  return `${JSON.stringify({ format: FORMAT, ...lease })}\n`;
}

/**
 * Reads the text of a lease file. The file may be anybody's: nothing in it is trusted.
 *
 * @returns the lease, or in words why it is none.
 */
export function parseLease(text: string, service: string, fileName: string): Lease | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return text === "" ? "it is empty" : "it is not JSON";
  }
  if (typeof parsed !== "object" || parsed === null) return "it is not a lease";
  const { format, instance, token, sinceMs, ttlMs, pid, ...rest } = parsed as Partial<
    Record<keyof Lease | "format", unknown>
  >;
  if (format !== FORMAT) return `its format is not ${FORMAT}`;
  if (rest.service !== service) return "it belongs to another service";
  const fault = instanceFault(instance);
  if (fault !== undefined) return fault;
  const name = parseLeaseName(fileName);
  const { id } = instance as Instance;
  if (name === undefined || name.token !== token || name.encodedId !== encodeName(id))
    return "its name does not fit its content";
  if (!(typeof ttlMs === "number" && ttlMs >= MIN_TTL_MS && ttlMs <= MAX_TTL_MS)) return "its ttlMs is out of range";
  if (!(typeof sinceMs === "number" && Number.isFinite(sinceMs))) return "its sinceMs is not a time";
  if (!Number.isSafeInteger(pid)) return "its pid is not a number";
  return {
    service,
    instance: frozenInstance(instance as Instance),
    token: name.token,
    sinceMs,
    ttlMs,
    pid: pid as number,
  };
}

/** Whether `a` rather than `b` counts, of two leases of one id. */
export function supersedes(a: Lease, b: Lease): boolean {
  return a.sinceMs === b.sinceMs ? a.token > b.token : a.sinceMs > b.sinceMs;
}
