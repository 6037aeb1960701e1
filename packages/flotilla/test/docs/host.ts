import { type Context, sleep } from "flotilla/context";
import { http } from "flotilla/http";
import { host, implement, readConfig } from "flotilla/service";
import { telemetry } from "flotilla/telemetry";
import { z } from "zod";
import { Parcels } from "./contract.ts";
import { parcels } from "./service.ts";

export interface Database {
  ping(signal: AbortSignal): Promise<void>;
  sweep(): Promise<void>;
  close(): void;
}

const Config = z.object({
  HOST: z.string().default("0.0.0.0"),
  PORT: z.coerce.number().default(8080),
  ADMIN_PORT: z.coerce.number().default(9090),
});

export function depotHost(database: Database, env = process.env) {
  const config = readConfig(Config, env);
  const observed = telemetry({ service: "depot" });

  async function sweep(ctx: Context): Promise<void> {
    for (;;) {
      await database.sweep();
      await sleep(ctx, 60_000); // rejects when the host stops: that ends the task
    }
  }

  return host({
    name: "depot",
    serve: [implement(Parcels, parcels)],
    listen: [http({ port: config.PORT, host: config.HOST })],
    admin: { port: config.ADMIN_PORT, host: config.HOST },
    telemetry: observed,
    checks: { database: (ctx) => database.ping(ctx.signal) },
    tasks: { sweep },
    close: [database],
  });
}
