import type { Instance } from "../endpoint/instance.ts";

/** Longest service name, instance id, zone and version, in UTF-16 units. */
export const MAX_NAME_LENGTH = 255;
const MAX_ADDRESS_LENGTH = 2048;
const MAX_METADATA = 256;

/** What is wrong with a service's name, in words; undefined when nothing is. */
export function serviceFault(service: unknown): string | undefined {
  return nameFault("service name", service);
}

/** What is wrong with an address, in words; undefined when nothing is. */
function addressFault(address: unknown): string | undefined {
  const shown = `address ${show(address)}`;
  const wanted = "must be a URL with a scheme and a host, like http://127.0.0.1:8080";
  if (typeof address !== "string" || !/^[a-z][a-z0-9+.-]*:\/\/[^/?#]/i.test(address)) return `${shown} ${wanted}`;
  if (address.length > MAX_ADDRESS_LENGTH) return `${shown} is longer than ${MAX_ADDRESS_LENGTH} characters`;
  const url = URL.parse(address);
  if (url === null || /\s/.test(address)) return `${shown} ${wanted}`;
  if (url.username !== "" || url.password !== "") return "an address must not hold a user name or password";
  if (address.includes("?") || address.includes("#")) return `${shown} must have neither query nor fragment`;
  return undefined;
}

/** What is wrong with an instance, in words; undefined when nothing is. */
export function instanceFault(instance: unknown): string | undefined {
  if (typeof instance !== "object" || instance === null) return `an instance must be an object, got ${show(instance)}`;
  const { id, address, zone, weight, version, metadata } = instance as Partial<Record<keyof Instance, unknown>>;
  const fault = nameFault("instance id", id) ?? addressFault(address);
  if (fault !== undefined) return fault;
  if (zone !== undefined && nameFault("zone", zone) !== undefined) return nameFault("zone", zone);
  if (version !== undefined && nameFault("version", version) !== undefined) return nameFault("version", version);
  if (weight !== undefined && !(typeof weight === "number" && weight > 0 && weight < Infinity)) {
    return `weight must be a number above 0, got ${show(weight)}`;
  }
  return metadata === undefined ? undefined : metadataFault(metadata);
}

/** A frozen copy with the fields of an instance and nothing else. */
export function frozenInstance({ id, address, zone, weight, version, metadata }: Instance): Instance {
  return Object.freeze({
    id,
    address,
    ...(zone === undefined ? {} : { zone }),
    ...(weight === undefined ? {} : { weight }),
    ...(version === undefined ? {} : { version }),
    ...(metadata === undefined ? {} : { metadata: Object.freeze({ ...metadata }) }),
  });
}

/** The order of snapshots: by id, in code units, the same on every machine. */
export function byId(a: Instance, b: Instance): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** Whether two instances say the same. */
export function sameInstance(a: Instance, b: Instance): boolean {
  if (a === b) return true;
  if (a.id !== b.id || a.address !== b.address || a.zone !== b.zone) return false;
  if (a.weight !== b.weight || a.version !== b.version) return false;
  const left = Object.entries(a.metadata ?? {});
  const right = b.metadata ?? {};
  return left.length === Object.keys(right).length && left.every(([key, value]) => right[key] === value);
}

function nameFault(what: string, name: unknown): string | undefined {
  if (typeof name !== "string" || name === "") return `${what} must be a string that is not empty, got ${show(name)}`;
  if (name.length > MAX_NAME_LENGTH) return `${what} ${show(name)} is longer than ${MAX_NAME_LENGTH} characters`;
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(name) || !name.isWellFormed()) {
    return `${what} ${show(name)} must be well-formed text without control characters`;
  }
  return undefined;
}

function metadataFault(metadata: unknown): string | undefined {
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) {
    return `metadata must be an object of strings, got ${show(metadata)}`;
  }
  const entries = Object.entries(metadata);
  if (entries.length > MAX_METADATA) return `metadata has ${entries.length} entries; ${MAX_METADATA} are allowed`;
  for (const [key, value] of entries) {
    if (key === "__proto__") return "metadata must not have a key __proto__";
    if (typeof value !== "string") return `metadata ${show(key)} must be a string, got ${show(value)}`;
  }
  return undefined;
}

/** A value as an error message may show it: short, on one line. */
function show(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
