import type { MethodInfo } from "flotilla/endpoint";

/** @throws TypeError when a method cannot be one-way: it streams, or its answer cannot be empty. */
export function checkOneWay(who: string, { procedure, kind, output }: MethodInfo): void {
  if (kind !== "unary") throw new TypeError(`${who}: ${procedure} is ${kind}: only unary methods can be one-way`);
  const empty = output.validate(output.fromJsonValue({}));
  if (!(empty instanceof Promise) && "violations" in empty) {
    throw new TypeError(`${who}: ${procedure} promises an answer, and nobody will give one: its output must admit {}`);
  }
}
