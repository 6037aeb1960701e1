export type { WireOptions as MemoryOptions } from "../../wire/options.ts";
export { type MemoryNetwork, memory } from "./memory.ts";
