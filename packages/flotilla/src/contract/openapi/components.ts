import type { JsonSchema, MessageType } from "../../endpoint/message-type.ts";
import { isRecord, mapReferences, referencesOf } from "./schema-walk.ts";

/** Names that validators make up for what has none; their counters depend on what else a program has loaded. */
const MADE_UP =
  /^(__schema|alias|domain|index|intersection|morph|predicate|proto|sequence|structure|type|union|unit)\d+$/;

/** Stands for the schema of a message whose validator gives none. */
export const anyValue: JsonSchema = {
  description: "Any JSON value: the validator of this message gives no JSON Schema.",
};

const PREFIX = "#/components/schemas/";

/**
 * Collects the schemas of a document under `components/schemas`: each message under its own name, and its `$defs` beside it.
 * Two different schemas never share a name; the same schema under the same name stands once.
 */
export class Components {
  readonly #schemas = new Map<string, JsonSchema>();
  /** What stands behind a name, written out: tells the same schema from another of the same name. */
  readonly #contents = new Map<string, string>();

  /** @param fixed - schemas whose names are taken. */
  constructor(fixed: Readonly<Record<string, JsonSchema>>) {
    for (const [name, schema] of Object.entries(fixed)) {
      this.#schemas.set(name, schema);
      this.#contents.set(name, JSON.stringify(schema));
    }
  }

  /**
   * The schema of a message as it stands on the wire, as a reference to its component; undefined when the validator gives none.
   *
   * @param name - of the component, when the message has none of its own.
   */
  message(type: MessageType, name: string): JsonSchema | undefined {
    // Neither side's transformations are applied to what is sent: a request is sent before them, and a response is never changed.
    const schema = type.jsonSchema("input");
    return schema === undefined ? undefined : { $ref: PREFIX + this.#hoist(schema, type.typeName ?? name) };
  }

  /** What a schema stands for: itself, or the component it refers to. */
  resolve(schema: JsonSchema): JsonSchema {
    let found = schema;
    // A chain of references is a few links long, unless it is a circle.
    for (let link = 0; link < 8; link++) {
      const reference = found["$ref"];
      const target = typeof reference === "string" ? this.#schemas.get(reference.slice(PREFIX.length)) : undefined;
      if (target === undefined) break;
      found = target;
    }
    return found;
  }

  /** All of them, by name. */
  sorted(): Readonly<Record<string, JsonSchema>> {
    return Object.fromEntries([...this.#schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Adds a schema and its definitions. Returns the name of the schema itself. */
  #hoist(document: JsonSchema, rootName: string): string {
    const { $schema, $id, $defs, definitions, ...root } = document;
    const parts = new Map<string, unknown>([["#", root], ...definitionsOf(document)]);
    const names = new Map<string, string>();
    const added: [name: string, part: unknown][] = [];
    let unnamed = 0;
    for (const [pointer, part] of parts) {
      const own = pointer === "#" ? rootName : unescape(pointer.slice(pointer.lastIndexOf("/") + 1));
      const wanted = MADE_UP.test(own) ? `${rootName}.${++unnamed}` : own;
      const content = JSON.stringify([part, [...closure(part, parts)].map((other) => [other, parts.get(other)])]);
      const name = this.#nameFor(wanted.replace(/[^A-Za-z0-9._-]/g, "_"), content);
      names.set(pointer, name);
      if (!this.#contents.has(name)) added.push([name, part]);
      this.#contents.set(name, content);
    }
    // Written only now, when every reference has its name.
    for (const [name, part] of added) {
      const rewritten = mapReferences(part, (reference) => translate(reference, names));
      // `true` and `false` are schemas too.
      this.#schemas.set(name, isRecord(rewritten) ? rewritten : rewritten === false ? { not: {} } : {});
    }
    return names.get("#")!;
  }

  #nameFor(wanted: string, content: string): string {
    const fits = (name: string) => (this.#contents.get(name) ?? content) === content;
    let name = wanted;
    for (let n = 2; !fits(name); n++) name = `${wanted}_${n}`;
    return name;
  }
}

/** The definitions of a schema by their pointer: `#/$defs/Tree`. */
function definitionsOf(document: JsonSchema): [pointer: string, schema: unknown][] {
  return ["$defs", "definitions"].flatMap((keyword) => {
    const definitions = document[keyword];
    if (!isRecord(definitions)) return [];
    return Object.entries(definitions).map(([name, schema]): [string, unknown] => [
      `#/${keyword}/${escape(name)}`,
      schema,
    ]);
  });
}

/** The pointers of all that a schema refers to, at any remove. */
function closure(part: unknown, parts: ReadonlyMap<string, unknown>, seen: Set<string> = new Set()): Set<string> {
  for (const reference of referencesOf(part)) {
    const pointer = pointerOf(reference, parts);
    if (pointer === undefined || seen.has(pointer)) continue;
    seen.add(pointer);
    closure(parts.get(pointer), parts, seen);
  }
  return seen;
}

/** The part of the document that a reference is into. */
function pointerOf(reference: string, parts: { has(pointer: string): boolean }): string | undefined {
  if (!reference.startsWith("#")) return undefined;
  const [, keyword, name] = reference.split("/");
  const pointer = `#/${keyword}/${escape(unescape(name ?? ""))}`;
  return parts.has(pointer) ? pointer : "#";
}

/** A reference inside a validator's schema as one inside the OpenAPI document. */
function translate(reference: string, names: ReadonlyMap<string, string>): string {
  const pointer = pointerOf(reference, names);
  if (pointer === undefined) return reference;
  const rest =
    pointer === "#"
      ? reference.slice(1)
      : reference
          .split("/")
          .slice(3)
          .map((part) => `/${part}`)
          .join("");
  return PREFIX + names.get(pointer)! + rest;
}

function escape(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

function unescape(part: string): string {
  return part.replaceAll("~1", "/").replaceAll("~0", "~");
}
