import { readConfig } from "flotilla/service";
import { z } from "zod";

const schema = z.object({
  SHIPPING_DATA: z.string().describe("Folder of the databases; each context has its own file in it"),
  SHIPPING_REGISTRY: z.string().describe("Folder of the registry, the same for all processes"),
  SHIPPING_SEED: z.coerce.number().int().min(0).default(1),
  SHIPPING_PORT: z.coerce.number().int().min(0).max(65_535).default(0),
});

/** What a process of the system is told by its environment. */
export interface Settings {
  readonly data: string;
  readonly registry: string;
  /** Seed of the timetable. */
  readonly seed: number;
  /** Port to listen on; 0 for a free one. */
  readonly port: number;
}

/** Reads the environment. @throws ConfigError listing everything wrong with it. */
export function readSettings(): Settings {
  const { SHIPPING_DATA, SHIPPING_REGISTRY, SHIPPING_SEED, SHIPPING_PORT } = readConfig(schema);
  return { data: SHIPPING_DATA, registry: SHIPPING_REGISTRY, seed: SHIPPING_SEED, port: SHIPPING_PORT };
}

/** The environment that says so. */
export function toEnvironment({ data, registry, seed, port }: Settings): Record<string, string> {
  return {
    SHIPPING_DATA: data,
    SHIPPING_REGISTRY: registry,
    SHIPPING_SEED: String(seed),
    SHIPPING_PORT: String(port),
  };
}
