import { validateHeaderName, validateHeaderValue } from "node:http";

/** Headers that say how a message is sent: not for the caller to set. */
const reserved =
  /^(?:connection|content-(?:encoding|length|type)|expect|host|keep-alive|te|trailer|transfer-encoding|upgrade)$/i;

/** What is wrong with a header for requests to a collector, without its value, which may be a key. Undefined when it is fine. */
export function headerProblem(name: string, value: string): string | undefined {
  if (reserved.test(name)) return `must not have ${name}`;
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  } catch {
    return `has ${JSON.stringify(name.slice(0, 64))}, whose name or value is not valid in HTTP`;
  }
  return undefined;
}
