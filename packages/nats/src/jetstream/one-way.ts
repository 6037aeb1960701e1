import type { MethodInfo, Service } from "flotilla/endpoint";

/** Why a method cannot be one-way, in words: it streams, or its answer cannot be empty. Undefined when it can. */
export function oneWayFault({ procedure, kind, output }: MethodInfo): string | undefined {
  if (kind !== "unary") return `${procedure} is ${kind}: only unary methods can be one-way`;
  const empty = output.validate(output.fromJsonValue({}));
  if (empty instanceof Promise || !("violations" in empty)) return undefined;
  return `${procedure} promises an answer, and nobody will give one: its output must admit {}`;
}

/** The services whose messages are handled: those that are asked for, else all. @throws TypeError when one is asked for that is not served. */
export function handledOf(services: readonly Service[], wanted: readonly string[] | undefined): readonly Service[] {
  // What comes with a middleware of the host answers questions, which nobody asks of a stream.
  if (wanted === undefined) return services.filter(({ observed }) => observed !== false);
  return wanted.map((name) => {
    const found = services.find((service) => service.name === name);
    if (found === undefined) throw new TypeError(`jetstream: services names ${name}, which the host does not serve`);
    return found;
  });
}
