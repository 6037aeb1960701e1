import { createClient } from "@redis/client";
import { freePort, type RunningServer, serverPath, startServer } from "../../../../scripts/servers.ts";

/** A Redis of its own for a test. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  readonly server: RunningServer;
}

/** Starts Redis on loopback, without a disk. */
export async function startRedis(port?: number, more: readonly string[] = []): Promise<TestRedis> {
  const command = await serverPath("redis-server");
  const own = port ?? (await freePort());
  const url = `redis://127.0.0.1:${own}`;
  const args = ["--port", String(own), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", ...more];
  const server = await startServer({ command, args: () => args, ready: () => answers(url) });
  return { url, port: own, server };
}

async function answers(url: string): Promise<boolean> {
  const client = createClient({ url, socket: { reconnectStrategy: false } });
  client.on("error", () => {});
  try {
    await client.connect();
    return (await client.ping()) === "PONG";
  } finally {
    client.destroy();
  }
}
