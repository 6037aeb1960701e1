import { mkdtemp, rm } from "node:fs/promises";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { freePort, type RunningServer, serverPath, startServer } from "../../../../scripts/servers.ts";

/** A broker of its own for a test, which can be killed and started again on the same port, with what JetStream had stored. */
export class TestNats {
  readonly port: number;
  readonly #store: string;
  readonly #config: string;
  readonly #jetstream: boolean;
  #server: RunningServer | undefined;

  private constructor(port: number, store: string, config: string, jetstream = true) {
    this.port = port;
    this.#jetstream = jetstream;
    this.#store = store;
    this.#config = config;
  }

  /** Two brokers that make a cluster, without JetStream. */
  static async cluster(): Promise<[TestNats, TestNats]> {
    const ports = [await freePort(), await freePort()];
    const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
    const part = async (port: number): Promise<TestNats> => {
      const store = await mkdtemp(join(tmpdir(), "flotilla-nats-"));
      const config = `cluster { name: "test", listen: "127.0.0.1:${port}", routes: [ ${routes} ] }`;
      const broker = new TestNats(await freePort(), store, config, false);
      await broker.up();
      return broker;
    };
    return [await part(ports[0]!), await part(ports[1]!)];
  }

  /** @param config - further lines of its configuration. */
  static async start(config = ""): Promise<TestNats> {
    const store = await mkdtemp(join(tmpdir(), "flotilla-nats-"));
    const broker = new TestNats(await freePort(), store, config);
    await broker.up();
    return broker;
  }

  get address(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#server!.pid;
  }

  /** @param config - further lines of its configuration, if they are others now. */
  async up(config = this.#config): Promise<void> {
    const stored = this.#jetstream ? `jetstream { store_dir: "${this.#store}" }` : "";
    const text = `listen: "127.0.0.1:${this.port}"\n${stored}\n${config}`;
    this.#server = await startServer({
      command: await serverPath("nats-server"),
      args: (folder) => ["-c", join(folder, "nats.conf")],
      files: { "nats.conf": text },
      ready: () => greets(this.port),
    });
  }

  /** Ends it without a warning. */
  async kill(): Promise<void> {
    this.#server!.signal("SIGKILL");
    await this.#server!.stop();
  }

  /** Ends it, and what it had stored is gone. */
  async loseDisk(): Promise<void> {
    await this.kill();
    await rm(this.#store, { recursive: true, force: true });
  }

  signal(signal: NodeJS.Signals): void {
    this.#server!.signal(signal);
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    await rm(this.#store, { recursive: true, force: true });
  }

  /** A plain client, as others have it. The caller closes it. */
  client(): Promise<NatsConnection> {
    return connect({ servers: `127.0.0.1:${this.port}`, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  }
}

/** Whether a broker says who it is there. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket(port, "127.0.0.1");
    socket.once("data", (bytes) => {
      socket.destroy();
      resolve(String(bytes).startsWith("INFO"));
    });
    socket.once("error", () => resolve(false));
  });
}
