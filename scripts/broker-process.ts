// A broker, `rabbitmq` or `nats`, for whoever starts this process, which tells its port (`{ port }`, over IPC) and ends with it.
import { answers, startRabbit } from "./rabbitmq.ts";
import { freePort, serverPath, startServer } from "./servers.ts";

interface Broker {
  readonly port: number;
  end(): Promise<void>;
}

const brokers: Readonly<Record<string, () => Promise<Broker>>> = {
  async rabbitmq() {
    const rabbit = await startRabbit();
    return {
      port: rabbit.port,
      async end() {
        await rabbit.kill();
        await rabbit.stop();
      },
    };
  },
  async nats() {
    const port = await freePort();
    const server = await startServer({
      command: await serverPath("nats-server"),
      args: () => ["-a", "127.0.0.1", "-p", String(port)],
      ready: () => answers(port, undefined),
    });
    return { port, end: () => server.stop() };
  },
};

const [, , name = ""] = process.argv;
const start = brokers[name];
if (start === undefined) throw new Error(`no broker ${name}; there are ${Object.keys(brokers).join(", ")}`);
const broker = await start();

async function end(): Promise<void> {
  await broker.end();
  process.exit(0);
}

process.once("SIGTERM", () => void end());
process.once("disconnect", () => void end());
process.send?.({ port: broker.port });
