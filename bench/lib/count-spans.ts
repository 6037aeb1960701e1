const LENGTH_DELIMITED = 2;
/** Bytes of fields of fixed size, by wire type. */
const fixedSizes: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

/** How many spans an `ExportTraceServiceRequest` holds: fields 1 (resource), 2 (scope), 2 (span), without reading the spans. */
export function countSpans(request: Uint8Array): number {
  let spans = 0;
  eachField(request, 0, request.length, 1, (resource, resourceEnd) =>
    eachField(request, resource, resourceEnd, 2, (scope, scopeEnd) =>
      eachField(request, scope, scopeEnd, 2, () => {
        spans++;
      }),
    ),
  );
  return spans;
}

/** Calls `found` with the bounds of each message in field `wanted`. */
function eachField(
  bytes: Uint8Array,
  start: number,
  end: number,
  wanted: number,
  found: (start: number, end: number) => void,
): void {
  let at = start;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error("the request is not valid protobuf");
  };
  while (at < end) {
    const tag = varint();
    const type = tag & 7;
    if (type === LENGTH_DELIMITED) {
      const length = varint();
      if (tag >>> 3 === wanted) found(at, at + length);
      at += length;
    } else if (type === 0) varint();
    else at += fixedSizes[type] ?? bytes.length;
  }
}
