import type { RestRoute } from "../endpoint/method-info.ts";

/** How a REST route is declared: `"GET /cargos/{id}"`, or that with the status of a success (default 200). */
export type RestOptions = string | { readonly route: string; readonly status?: number };

const ROUTE = /^(GET|POST|PUT|PATCH|DELETE) (\/\S*)$/;
const PARAMETER = /^\{([A-Za-z_][A-Za-z0-9_]*)\}$/;
const LITERAL = /^[A-Za-z0-9\-._~!$&'()*+,;=:@%]*$/;

/**
 * Reads a declared route.
 *
 * @throws TypeError saying what is wrong with it.
 */
export function parseRestRoute(rest: RestOptions, procedure: string): RestRoute {
  const { route, status = 200 } = typeof rest === "string" ? { route: rest } : rest;
  const fail = (why: string): never => {
    throw new TypeError(`${procedure}: REST route ${JSON.stringify(route)} ${why}`);
  };
  const match = ROUTE.exec(route);
  if (match === null) return fail('must look like "GET /cargos/{id}" with GET, POST, PUT, PATCH or DELETE');
  if (!Number.isInteger(status) || status < 200 || status > 299)
    return fail(`has status ${status}: a success is 200 to 299`);
  const path = match[2]!;
  const names = new Set<string>();
  const segments = path
    .slice(1)
    .split("/")
    .map((segment) => {
      const name = PARAMETER.exec(segment)?.[1];
      if (name === undefined) {
        return LITERAL.test(segment)
          ? segment
          : fail(`has a segment "${segment}" that is neither a literal nor {name}`);
      }
      if (name === "__proto__") return fail('names a field "__proto__", which no message may have');
      if (names.has(name)) return fail(`names {${name}} twice`);
      names.add(name);
      return { name };
    });
  return { method: match[1] as RestRoute["method"], path, segments, status };
}
