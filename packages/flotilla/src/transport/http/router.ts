import type { BoundMethod, Service } from "../../endpoint/service.ts";
import { RestInput } from "./rest-input.ts";

/** A declared REST route with what is needed to serve it. */
export interface RestTarget {
  readonly method: BoundMethod;
  readonly input: RestInput;
}

/** Where a REST path leads: the targets by verb, and the path's parameters in order, still percent-encoded. */
export interface RestMatch {
  readonly targets: ReadonlyMap<string, RestTarget>;
  readonly parameters: readonly string[];
}

interface RestNode {
  readonly literals: Map<string, RestNode>;
  parameter: RestNode | undefined;
  targets: Map<string, RestTarget> | undefined;
}

/** Longest path looked at segment by segment. */
const MAX_SEGMENTS = 32;

/** Connect paths in one map, REST paths in a tree of segments; a literal segment goes before a parameter. */
export class Router {
  /** `/calc.v1.Calculator/sum` to its method. */
  readonly procedures = new Map<string, BoundMethod>();
  readonly #rest: RestNode = emptyNode();

  /** @throws TypeError when two services share a name or a REST route. */
  constructor(services: readonly Service[]) {
    for (const service of services) {
      for (const method of service.methods) {
        const path = `/${method.info.procedure}`;
        if (this.procedures.has(path)) throw new TypeError(`http: ${method.info.procedure} is served twice`);
        this.procedures.set(path, method);
        this.#addRest(method);
      }
    }
  }

  #addRest(method: BoundMethod): void {
    const { rest, procedure } = method.info;
    if (rest === undefined) return;
    let node = this.#rest;
    for (const segment of rest.segments) {
      if (typeof segment !== "string") node = node.parameter ??= emptyNode();
      else {
        let next = node.literals.get(segment);
        if (next === undefined) node.literals.set(segment, (next = emptyNode()));
        node = next;
      }
    }
    node.targets ??= new Map();
    const other = node.targets.get(rest.method);
    if (other !== undefined) {
      throw new TypeError(
        `http: ${procedure} and ${other.method.info.procedure} both declare ${rest.method} ${rest.path}`,
      );
    }
    node.targets.set(rest.method, { method, input: new RestInput(method.info, rest) });
  }

  /**
   * The REST targets of a path (without query), or undefined. Where several routes match, one that has the verb goes before one
   * that has not: `POST /cargos/express` does not hide `GET /cargos/{id}` from `GET /cargos/express`.
   */
  findRest(path: string, verb: string): RestMatch | undefined {
    if (!path.startsWith("/")) return undefined;
    const segments = path.slice(1).split("/", MAX_SEGMENTS + 1);
    if (segments.length > MAX_SEGMENTS) return undefined;
    const parameters: string[] = [];
    const targets = walk(this.#rest, segments, 0, parameters, verb) ?? walk(this.#rest, segments, 0, parameters, "");
    return targets === undefined ? undefined : { targets, parameters };
  }
}

/** @param verb - what the targets must have; `""` for any. */
function walk(
  node: RestNode,
  segments: readonly string[],
  at: number,
  parameters: string[],
  verb: string,
): ReadonlyMap<string, RestTarget> | undefined {
  if (at === segments.length) return verb === "" || node.targets?.has(verb) ? node.targets : undefined;
  const segment = segments[at]!;
  const literal = node.literals.get(segment);
  if (literal !== undefined) {
    const found = walk(literal, segments, at + 1, parameters, verb);
    if (found !== undefined) return found;
  }
  if (node.parameter === undefined || segment === "") return undefined;
  parameters.push(segment);
  const found = walk(node.parameter, segments, at + 1, parameters, verb);
  if (found === undefined) parameters.pop();
  return found;
}

function emptyNode(): RestNode {
  return { literals: new Map(), parameter: undefined, targets: undefined };
}
