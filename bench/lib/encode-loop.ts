import { countSpans } from "./count-spans.ts";
import { SPANS } from "./finished-spans.ts";
import type { Loop } from "./worker.ts";

/** Encodes requests of 512 spans over and over; one iteration is one span. */
export function encodeLoop(encode: () => Uint8Array): Loop {
  const spans = countSpans(encode());
  if (spans !== SPANS) throw new Error(`the request holds ${spans} spans instead of ${SPANS}`);
  return (iterations) => {
    let bytes = 0;
    for (let i = 0; i < iterations; i += SPANS) bytes += encode().length;
    return bytes;
  };
}
