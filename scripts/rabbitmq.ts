// A RabbitMQ of its own for tests and benchmarks: on loopback, in a temporary folder, under a name of its own, beside whatever else the
// machine may run. It can be killed and started again on what it had on its disk.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { freePort, type RunningServer, serverPath, startServer } from "./servers.ts";

export interface TestRabbit {
  readonly port: number;
  /** `amqp://127.0.0.1:PORT`. */
  readonly url: string;
  /** The process of the broker; another one after `restart`. */
  readonly pid: number;
  /** What it has printed since it was started last. */
  output(): string;
  /** Has `rabbitmqctl` do something. @throws Error when that fails. */
  control(...args: string[]): Promise<void>;
  /** Ends it as a power cut would (SIGKILL), and resolves when it has. */
  kill(): Promise<void>;
  /** Starts it again on the same port, with what is on its disk. */
  restart(): Promise<void>;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

/** Erlang takes its time to start. */
const START_TIMEOUT_MS = 60_000;
/** Where Debian has the programs themselves: those on PATH change the user and the folder first. */
const UNWRAPPED = "/usr/lib/rabbitmq/bin";

/** Starts a broker. @throws Error when it cannot be had or does not start. */
export async function startRabbit(): Promise<TestRabbit> {
  const found = await serverPath("rabbitmq-server");
  const programs = existsSync(join(UNWRAPPED, "rabbitmq-server")) ? UNWRAPPED : dirname(found);
  const folder = await mkdtemp(join(tmpdir(), "flotilla-rabbitmq-"));
  const [port, distribution, names] = [await freePort(), await freePort(), await freePort()];
  // Erlang's daemon of names would otherwise be started by itself, and stay.
  const epmd = await startServer({
    command: "epmd",
    args: () => ["-port", String(names), "-address", "127.0.0.1"],
    ready: () => answers(names, undefined),
  });
  const start = (): Promise<RunningServer> =>
    startServer({
      command: "/usr/bin/env",
      args: () => [...environment(folder, port, distribution, names), join(programs, "rabbitmq-server")],
      ready: () => answers(port, "AMQP\0\0\u0009\u0001"),
      timeoutMs: START_TIMEOUT_MS,
    });
  const stopAll = async (): Promise<void> => {
    await epmd.stop();
    await rm(folder, { recursive: true, force: true });
  };
  let server: RunningServer;
  try {
    server = await start();
  } catch (error) {
    await stopAll();
    throw error;
  }
  return {
    port,
    url: `amqp://127.0.0.1:${port}`,
    get pid() {
      return server.pid;
    },
    output: () => server.output(),
    async control(...args) {
      const variables = environment(folder, port, distribution, names);
      await promisify(execFile)("/usr/bin/env", [...variables, join(programs, "rabbitmqctl"), ...args], {
        cwd: folder,
      });
    },
    async kill() {
      server.signal("SIGKILL");
      await server.stop();
    },
    async restart() {
      server = await start();
    },
    async stop() {
      await server.stop();
      await stopAll();
    },
  };
}

function environment(folder: string, port: number, distribution: number, names: number): string[] {
  return Object.entries({
    // Where its secret (.erlang.cookie) is.
    HOME: folder,
    // Otherwise it would run beside a shell that outlives it.
    RUNNING_UNDER_SYSTEMD: "true",
    ERL_EPMD_PORT: names,
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: `flotilla-${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: port,
    RABBITMQ_DIST_PORT: distribution,
    RABBITMQ_MNESIA_BASE: join(folder, "data"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_LOGS: "-",
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "plugins"),
    RABBITMQ_CONF_ENV_FILE: "/dev/null",
    // Two schedulers that do not spin while there is nothing to do: the machine is not its own.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
  }).map(([name, value]) => `${name}=${value}`);
}

/** Whether something accepts connections there; and says something, when it is greeted. */
export function answers(port: number, greeting: string | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      if (greeting === undefined) end(true);
      else socket.write(greeting, "latin1");
    });
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once("data", () => end(true));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
  });
}
