import { hash } from "node:crypto";
import { StoreClient } from "./store.ts";

/** Rounds of hashing that keep a core busy for some 4 ms; without objects to be collected, whose cost would depend on the heap. */
const TIMES = 10_000;

/**
 * What a handler does before it answers: it keeps the core busy for some 4 ms in one piece.
 *
 * @param storePort - of a store it waits for first; undefined for none.
 */
export function worker(storePort: number | undefined): (seed: number) => Promise<void> {
  const store = storePort === undefined ? undefined : new StoreClient(storePort);
  return async (seed) => {
    await store?.ask();
    let digest = String(seed);
    for (let i = 0; i < TIMES; i++) digest = hash("sha256", digest, "hex");
  };
}
