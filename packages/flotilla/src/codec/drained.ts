import type { Writable } from "node:stream";

/** Resolves when more can be written, or nothing can ever. */
export function drained(stream: Writable): Promise<void> {
  // What is destroyed may have said so already.
  if (stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const go = (): void => {
      stream.off("drain", go);
      stream.off("close", go);
      resolve();
    };
    stream.on("drain", go);
    stream.on("close", go);
  });
}
