// Real servers for integration tests: found on the machine, or installed where that is allowed; started on a free port of the
// loopback in a folder of their own; stopped by their pid. Tests that need one that cannot be had are skipped, with the reason.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { accessSync, constants, existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/** Name of a program → the Debian package that holds it. */
const packages = {
  chromium: "chromium",
  curl: "curl",
  dnsmasq: "dnsmasq-base",
  h2load: "nghttp2-client",
  "nats-server": "nats-server",
  openssl: "openssl",
  prometheus: "prometheus",
  promtool: "prometheus",
  "python3 with grpc": "python3-grpcio",
  "python3 with pika": "python3-pika",
  "rabbitmq-server": "rabbitmq-server",
  "redis-server": "redis-server",
  wrk: "wrk",
} as const;

export type ServerName = keyof typeof packages;

/** Where a program is, or why it is not there. */
export type Found =
  | { readonly path: string; readonly missing?: undefined }
  | { readonly path?: undefined; readonly missing: string };

/** Folders of servers that are often not on PATH. */
const MORE_FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/sbin"];
const APT_LOCK = join(tmpdir(), "flotilla-apt.lock");
const APT_TIMEOUT_MS = 300_000;

const finding = new Map<ServerName, Promise<Found>>();

/** Looks for a program on PATH and in the folders of servers; installs its Debian package when it is not there and this process is root. */
export function findServer(name: ServerName): Promise<Found> {
  let found = finding.get(name);
  if (found === undefined) {
    found = locateOrInstall(name);
    finding.set(name, found);
  }
  return found;
}

/**
 * For the `skip` option of a test: false when all of the programs are there, otherwise the reason.
 *
 * @example test("resolves SRV records", { skip: await skipWithout("dnsmasq") }, async () => { … });
 */
export async function skipWithout(...names: ServerName[]): Promise<string | false> {
  for (const name of names) {
    const { missing } = await findServer(name);
    if (missing !== undefined) return missing;
  }
  return false;
}

/** The path of a program that is there. Rejects with the reason when it is not. */
export async function serverPath(name: ServerName): Promise<string> {
  const { path, missing } = await findServer(name);
  if (path === undefined) throw new Error(missing);
  return path;
}

async function locateOrInstall(name: ServerName): Promise<Found> {
  const path = locate(name);
  if (path !== undefined) return { path };
  const debian = packages[name];
  if (!existsSync("/etc/debian_version")) return { missing: `${name} is not on PATH` };
  if (process.getuid?.() !== 0)
    return { missing: `${name} is not on PATH, and only root may apt-get install ${debian}` };
  // Runlevel 1: a server that was just installed must not start by itself.
  // Test files run at the same time, and apt-get does not wait for another's lock on its lists.
  const script = `apt-get update -q && apt-get install -qy --no-install-recommends ${debian}`;
  try {
    await promisify(execFile)("flock", [APT_LOCK, "sh", "-c", script], {
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
      timeout: APT_TIMEOUT_MS,
      maxBuffer: 16 * 1024 * 1024,
    });
  } catch (error) {
    const last = String((error as { stderr?: string }).stderr || error)
      .trim()
      .split("\n")
      .at(-1);
    return { missing: `${name} is not on PATH, and apt-get install ${debian} failed: ${last}` };
  }
  const installed = locate(name);
  return installed === undefined
    ? { missing: `${debian} is installed, but ${name} is still not on PATH` }
    : { path: installed };
}

/** Where Debian keeps the modules of its Python, whose interpreter is not always the one on PATH. */
const PYTHON = { program: "/usr/bin/python3", modules: "/usr/lib/python3/dist-packages" };

function locate(name: string): string | undefined {
  const module = /^python3 with (.+)$/.exec(name)?.[1];
  if (module !== undefined) {
    return existsSync(join(PYTHON.modules, module)) && isExecutable(PYTHON.program) ? PYTHON.program : undefined;
  }
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...MORE_FOLDERS];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Below the ports that systems give to connections and to servers that ask for any: Linux begins at 32768, others at 49152. */
const CHOSEN_PORTS = { first: 20_000, count: 12_000 };

/**
 * A port of 127.0.0.1 that is free for TCP and UDP, and that nobody is given who asks for any port. Only for programs that cannot choose
 * one themselves: a broker that takes seconds to start would find a port of the usual range taken by some connection.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = CHOSEN_PORTS.first + Math.floor(Math.random() * CHOSEN_PORTS.count);
    if ((await isFreeForTcp(port)) && (await isFreeForUdp(port))) return port;
  }
}

async function isFreeForTcp(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}

async function isFreeForUdp(port: number): Promise<boolean> {
  const socket = createSocket("udp4");
  const free = await new Promise<boolean>((resolve) => {
    socket.once("error", () => resolve(false));
    socket.bind(port, "127.0.0.1", () => resolve(true));
  });
  socket.close();
  return free;
}

export interface StartOptions {
  readonly command: string;
  /** The arguments, given the server's temporary folder. */
  readonly args: (folder: string) => readonly string[];
  /** Files to write into the folder first, by their path in it. */
  readonly files?: Readonly<Record<string, string>>;
  /** Whether the server answers; asked again and again until it does. What it throws counts as no. */
  readonly ready: () => Promise<boolean>;
  /** Milliseconds that it may take to be ready. Default 10 s. */
  readonly timeoutMs?: number;
}

export interface RunningServer {
  readonly pid: number;
  /** Its temporary folder, removed when it has stopped. */
  readonly folder: string;
  /** What it has printed so far. */
  output(): string;
  /** Sends a signal, e.g. SIGHUP to have it read its files again. */
  signal(signal: NodeJS.Signals): void;
  /** Ends it (SIGTERM, after 3 s SIGKILL) and waits until it has. Safe to call twice. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const STOP_AFTER_MS = 3_000;
const READY_EVERY_MS = 20;
const KEPT_OUTPUT_CHARS = 100_000;
const TOLD_LINES = 30;

/** Starts a server and waits until it is ready; stops it and rejects with the end of what it printed if it ends before, or never is. */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const folder = await mkdtemp(join(tmpdir(), "flotilla-server-"));
  for (const [path, text] of Object.entries(options.files ?? {})) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const child = spawn(options.command, options.args(folder), { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const server = handleOf(child, folder);
  await untilReady(child, server, options);
  return server;
}

function handleOf(child: ChildProcess, folder: string): RunningServer {
  let output = "";
  const add = (text: string): void => {
    output = (output + text).slice(-KEPT_OUTPUT_CHARS);
  };
  child.stdout?.setEncoding("utf8").on("data", add);
  child.stderr?.setEncoding("utf8").on("data", add);
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", (error) => {
      add(error.message);
      resolve();
    });
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_AFTER_MS);
    await ended;
    clearTimeout(timer);
    await rm(folder, { recursive: true, force: true });
  };
  return {
    pid: child.pid ?? -1,
    folder,
    output: () => output,
    signal: (signal) => void child.kill(signal),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Brokers print hundreds of lines before the one that says what is wrong. */
function lastLines(output: string): string {
  return output.trimEnd().split("\n").slice(-TOLD_LINES).join("\n");
}

async function untilReady(child: ChildProcess, server: RunningServer, options: StartOptions): Promise<void> {
  const timeoutMs = options.timeoutMs ?? 10_000;
  const deadline = performance.now() + timeoutMs;
  while (!(await options.ready().catch(() => false))) {
    const gone = child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
    if (gone || performance.now() > deadline) {
      const ending = child.pid === undefined ? "could not start" : `ended (${child.signalCode ?? child.exitCode})`;
      await server.stop();
      const why = gone ? ending : `was not ready in ${timeoutMs} ms`;
      throw new Error(`${options.command} ${why}; the end of what it printed:\n${lastLines(server.output())}`);
    }
    await sleep(READY_EVERY_MS);
  }
}
