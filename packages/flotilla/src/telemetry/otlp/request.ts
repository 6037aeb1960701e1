import type { Resource, Scope } from "../model.ts";
import { AttributeWriter } from "./attributes.ts";
import { Wire } from "./wire.ts";

/** Writes one span, metric or log record as a field of its scope. */
export type WriteItem<T> = (wire: Wire, attributes: AttributeWriter, item: T) => void;

/** An `Export…ServiceRequest` of OTLP. */
export interface EncodedRequest {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Items left out because encoding them failed. */
  readonly failed: number;
}

export type Encode<T> = (items: readonly T[]) => EncodedRequest;

/** Lengths of resources and scopes are mostly three bytes: 16 KiB to 2 MiB. */
const BIG = 3;

/**
 * Encodes OTLP requests, which have the same form for every signal: items by scope, scopes under the resource. It
 * owns a buffer that all requests are made in, and keeps the bytes of the resource and of scopes.
 */
export function requestEncoder<T extends { readonly scope: Scope }>(
  resource: Resource,
  writeItem: WriteItem<T>,
): Encode<T> {
  const wire = new Wire();
  const attributes = new AttributeWriter(wire);
  const resourceBytes = encodeResource(wire, attributes, resource);
  const scopeBytes = new WeakMap<Scope, Uint8Array>();
  const scopes: Scope[] = [];

  function writeScope(scope: Scope, items: readonly T[]): number {
    let failed = 0;
    const scopeStart = wire.begin(0x12, BIG);
    let head = scopeBytes.get(scope);
    if (head === undefined) {
      head = encodeScope(wire, scope);
      scopeBytes.set(scope, head);
    }
    wire.raw(head);
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!;
      if (item.scope !== scope) continue;
      const start = wire.pos;
      try {
        writeItem(wire, attributes, item);
      } catch {
        // A value that throws when it is read costs its own item and no other.
        wire.pos = start;
        failed++;
      }
    }
    if (scope.schemaUrl !== undefined) wire.text(0x1a, scope.schemaUrl);
    wire.end(scopeStart, BIG);
    return failed;
  }

  return (items) => {
    wire.reset();
    attributes.trim();
    let failed = 0;
    const start = wire.begin(0x0a, BIG);
    wire.raw(resourceBytes);
    scopes.length = 0;
    for (let i = 0; i < items.length; i++) {
      const { scope } = items[i]!;
      if (scope !== scopes[0] && !scopes.includes(scope)) scopes.push(scope);
    }
    for (const scope of scopes) failed += writeScope(scope, items);
    if (resource.schemaUrl !== undefined) wire.text(0x1a, resource.schemaUrl);
    wire.end(start, BIG);
    return { bytes: wire.finish(), failed };
  };
}

function encodeResource(wire: Wire, attributes: AttributeWriter, resource: Resource): Uint8Array {
  wire.reset();
  const start = wire.begin(0x0a, 2);
  const list = Object.entries(resource.attributes).flatMap(([name, value]) =>
    value === undefined ? [] : [name, value],
  );
  attributes.write(0x0a, list);
  wire.end(start, 2);
  return wire.finish();
}

function encodeScope(wire: Wire, scope: Scope): Uint8Array {
  const from = wire.pos;
  const start = wire.begin(0x0a, 1);
  wire.text(0x0a, scope.name);
  if (scope.version !== undefined) wire.text(0x12, scope.version);
  wire.end(start, 1);
  const bytes = wire.copy(from);
  wire.pos = from;
  return bytes;
}
