import { isIP } from "node:net";
import { ServiceError } from "../../errors/service-error.ts";
import { serviceFault } from "../check.ts";

/** Where a service is looked up: see `DnsOptions.name`. */
export type DnsName = string | Readonly<Record<string, string>> | ((service: string) => string | undefined);

/** What is asked for. */
export interface Question {
  readonly type: "srv" | "address";
  /** In lower case, without the final dot; or an IP address. */
  readonly host: string;
  /** Of addresses: the port, undefined for the scheme's own. */
  readonly port: number | undefined;
}

const MAX_NAME = 253;
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
const IPV6_WITH_PORT = /^\[([^\]]+)\](?::(\d+))?$/;
const HOST_WITH_PORT = /^([^:]+):(\d+)$/;

/**
 * The question that finds a service; undefined when the mapping knows no name for it.
 *
 * @param type - `auto`: SRV when the first label begins with an underscore, as RFC 2782 has it, else addresses.
 * @throws ServiceError `invalid_argument` for what is no service name or gives no DNS name.
 */
export function questionOf(
  service: string,
  mapping: DnsName,
  type: "auto" | "srv" | "address",
  port: number | undefined,
): Question | undefined {
  const fault = serviceFault(service);
  if (fault !== undefined) throw new ServiceError("invalid_argument", fault);
  const name = mapped(service, mapping);
  if (name === undefined) return undefined;
  if (typeof name !== "string") throw new ServiceError("invalid_argument", `dns: the name of ${service} is no string`);
  const parts = IPV6_WITH_PORT.exec(name) ?? HOST_WITH_PORT.exec(name);
  const host = (parts?.[1] ?? name).toLowerCase().replace(/\.$/, "");
  const ownPort = parts?.[2] === undefined ? undefined : Number(parts[2]);
  const refuse = (why: string): ServiceError =>
    new ServiceError(
      "invalid_argument",
      `dns: service ${JSON.stringify(service)} has the name ${JSON.stringify(name)}: ${why}`,
    );
  if (isIP(host) === 0 && !isName(host)) {
    throw refuse(
      "it must be a DNS name (labels of up to 63 letters, digits, - and _; others as xn--) or an IP address",
    );
  }
  if (ownPort !== undefined && !(ownPort >= 1 && ownPort <= 65_535)) throw refuse("its port must be from 1 to 65535");
  const asked = type === "auto" ? (host.startsWith("_") ? "srv" : "address") : type;
  if (asked === "address") return { type: asked, host, port: ownPort ?? port };
  if (isIP(host) !== 0) throw refuse("SRV records belong to a name, not to an IP address");
  if (ownPort !== undefined) throw refuse("SRV records have their own ports: leave it out of the name");
  return { type: asked, host, port: undefined };
}

/** Whether a text is a name the DNS can be asked for: RFC 1035, section 2.3.4, and RFC 2782 for the underscores. */
export function isName(host: string): boolean {
  return host !== "" && host.length <= MAX_NAME && host.split(".").every((label) => LABEL.test(label));
}

function mapped(service: string, mapping: DnsName): string | undefined {
  if (typeof mapping === "function") return mapping(service);
  if (typeof mapping === "string") return mapping.replaceAll("{service}", service);
  return Object.hasOwn(mapping, service) ? mapping[service] : undefined;
}
