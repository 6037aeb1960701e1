import type { Code } from "../errors/code.ts";
import { ServiceError } from "../errors/service-error.ts";

/** Flag of an envelope whose data is compressed. */
export const COMPRESSED = 0b01;
/** Flag of the last envelope of a Connect stream: its data is the end-of-stream JSON. */
export const END_STREAM = 0b10;

/** One framed message of a stream. */
export interface Envelope {
  readonly flags: number;
  readonly data: Uint8Array;
  /** Bytes that have come behind it already. */
  readonly behind: number;
}

/**
 * The five-byte frame that Connect streams and gRPC share: one byte of flags, four bytes of length, big-endian.
 * Header and data in one buffer, so that a message is one write.
 */
export function encodeEnvelope(flags: number, data: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(5 + data.byteLength);
  frame[0] = flags;
  frame.writeUInt32BE(data.byteLength, 1);
  frame.set(data, 5);
  return frame;
}

/** The same for text, without an intermediate copy. */
export function encodeTextEnvelope(flags: number, text: string): Buffer {
  const length = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(5 + length);
  frame[0] = flags;
  frame.writeUInt32BE(length, 1);
  frame.write(text, 5);
  return frame;
}

/**
 * Cuts a byte stream into envelopes. Holds at most one message: a longer one is refused as soon as its header is read.
 *
 * @param malformed - the code of a stream that ends inside an envelope: whose fault it is depends on the side.
 * @throws ServiceError `resource_exhausted` for a message over `maxBytes`; `malformed`.
 */
export async function* decodeEnvelopes(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
  malformed: Code,
): AsyncGenerator<Envelope> {
  let held: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    held.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    size += chunk.byteLength;
    while (size >= 5) {
      // Only the header is looked at until the whole message is there: one copy a message, however it was chunked.
      if (held[0]!.byteLength < 5) held = [Buffer.concat(held)];
      const length = held[0]!.readUInt32BE(1);
      if (length > maxBytes) {
        throw new ServiceError(
          "resource_exhausted",
          `a message of ${length} bytes is over the limit of ${maxBytes} bytes`,
        );
      }
      if (size < 5 + length) break;
      const all = held.length === 1 ? held[0]! : Buffer.concat(held);
      yield { flags: all[0]!, data: all.subarray(5, 5 + length), behind: size - 5 - length };
      const rest = all.subarray(5 + length);
      held = rest.byteLength === 0 ? [] : [rest];
      size = rest.byteLength;
    }
  }
  if (size > 0) throw new ServiceError(malformed, `the stream ended inside a message, after ${size} bytes of it`);
}
