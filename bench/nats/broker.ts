import { type ChildProcess, spawn } from "node:child_process";
import { connect as connectSocket, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { onPath, pinned } from "../lib/machine.ts";

const READY_TIMEOUT_MS = 5000;

/** A nats-server on a free port of the loopback. */
export interface Broker {
  readonly port: number;
  close(): Promise<void>;
}

/** @param cpus - the cores it may use; undefined for all. */
export async function startBroker(cpus: string | undefined): Promise<Broker> {
  const program = onPath("nats-server");
  if (program === undefined) throw new Error("nats-server is not on PATH (Debian: apt-get install nats-server)");
  const port = await freePort();
  const [command, args] = pinned(cpus, [program, "-a", "127.0.0.1", "-p", String(port)]);
  const child = spawn(command, args, { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const close = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  // It must not outlive a bench that is interrupted.
  process.once("exit", () => child.kill("SIGKILL"));
  await untilListening(child, port);
  return { port, close };
}

async function untilListening(child: ChildProcess, port: number): Promise<void> {
  const end = performance.now() + READY_TIMEOUT_MS;
  while (!(await listens(port))) {
    if (child.exitCode !== null || performance.now() > end) throw new Error("nats-server does not listen");
    await sleep(20);
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
