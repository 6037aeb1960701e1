/** The bytes of the calculator's messages, by hand. */
export const paths = { sum: "/calc.v1.Calculator/sum", ticks: "/calc.v1.Calculator/ticks" } as const;

/** A frame of gRPC around `fields` doubles, numbered from 1. Zero is left out, as protobuf has it. */
export function writeDoubles(...fields: readonly number[]): Buffer {
  const frame = Buffer.allocUnsafe(5 + 9 * fields.length);
  let at = 5;
  for (let i = 0; i < fields.length; i++) {
    if (fields[i] === 0) continue;
    frame[at] = ((i + 1) << 3) | 1;
    frame.writeDoubleLE(fields[i]!, at + 1);
    at += 9;
  }
  frame[0] = 0;
  frame.writeUInt32BE(at - 5, 1);
  return frame.subarray(0, at);
}

/** The doubles of a message that begins at `from`. */
export function readDoubles(
  bytes: Buffer,
  from: number,
  to: number,
): { readonly first: number; readonly second: number } {
  let first = 0;
  let second = 0;
  for (let at = from; at < to; at += 9) {
    if (bytes[at] === 9) first = bytes.readDoubleLE(at + 1);
    else second = bytes.readDoubleLE(at + 1);
  }
  return { first, second };
}
