import type { HttpProtocol } from "../../../endpoint/http-protocol.ts";
import { MountedProxy } from "./mounted.ts";
import { type ProxyOptions, settle } from "./options.ts";

/**
 * A reverse proxy on the port of an HTTP listener: passes requests on to the instances of a service, and their answers back, both as streams.
 *
 * ```ts
 * const orders = channel({ discover: embedded(), transport: proxyClient() });
 * const edge = host({
 *   name: "edge",
 *   listen: [http({ port: 8080, protocols: [proxy({ path: "/orders", over: orders, service: "orders" })] })],
 *   close: [orders],
 * });
 * ```
 *
 * Discovery, balancing, ejection, throttle, retries and breakers are the channel's. A request is tried again only where that cannot do anything
 * twice: when no upstream took it in, or, before any of its body is sent, when its verb is idempotent; not once more than 64 KiB of its body were read; and, unless
 * HTTP/2 refused it, never at the same instance.
 *
 * Sources: RFC 9110 sections 7.6 and 10.1.1, RFC 9112 sections 3.2 and 6, RFC 7239.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function proxy(options: ProxyOptions): HttpProtocol {
  const settings = settle(options);
  return {
    name: `proxy of ${settings.prefix || "/"}`,
    mount: (_services, root, listener) => new MountedProxy(settings, options.over, root, listener),
  };
}
