import { Resolver } from "node:dns/promises";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort, type RunningServer, serverPath, startServer } from "../../../../../../scripts/servers.ts";

/** What a {@link Dnsmasq} knows. */
export interface Zone {
  /** Lines of its configuration: `srv-host=_http._tcp.calc.test,a.test,8080,10,5`. */
  readonly config?: readonly string[];
  /** Addresses by name. */
  readonly hosts?: Readonly<Record<string, readonly string[]>>;
}

/** A real name server for the domain `test` on a free port of the loopback. */
export class Dnsmasq {
  readonly port: number;
  #server: RunningServer;

  constructor(port: number, server: RunningServer) {
    this.port = port;
    this.#server = server;
  }

  static async start(zone: Zone = {}): Promise<Dnsmasq> {
    const port = await freePort();
    return new Dnsmasq(port, await run(port, zone));
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** What it was asked, in order, since it was last started: `A calc.test`. */
  get asked(): string[] {
    return Array.from(
      this.#server.output().matchAll(/query\[(\w+)\] (\S+) from/g),
      ([, type, name]) => `${type} ${name}`,
    ).filter((question) => !question.endsWith(READY));
  }

  /** Other addresses; it goes on running. */
  async setHosts(hosts: NonNullable<Zone["hosts"]>): Promise<void> {
    await writeFile(join(this.#server.folder, "hosts"), hostsText(hosts));
    this.#server.signal("SIGHUP");
  }

  /** Has it forward all questions for `test` to another one. */
  async forwardTo(other: Dnsmasq): Promise<void> {
    await writeFile(join(this.#server.folder, "forward"), `server=/test/127.0.0.1#${other.port}\n`);
    this.#server.signal("SIGHUP");
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** Starts it again, on the same port. */
  async restart(zone: Zone): Promise<void> {
    await this.stop();
    this.#server = await run(this.port, zone);
  }
}

const READY = "ready.dnsmasq.invalid";

async function run(port: number, { config = [], hosts = {} }: Zone): Promise<RunningServer> {
  const settings = [
    `port=${port}`,
    "listen-address=127.0.0.1",
    "bind-interfaces",
    "no-resolv",
    "no-hosts",
    "no-negcache",
    "keep-in-foreground",
    "log-queries",
    "log-facility=-",
    "pid-file=",
    `address=/${READY}/127.0.0.1`,
    // Started by root it would become another user, who cannot read the folder.
    ...(process.getuid?.() === 0 ? ["user=root"] : []),
    ...config,
  ];
  const probe = new Resolver({ timeout: 200, tries: 1 });
  probe.setServers([`127.0.0.1:${port}`]);
  return startServer({
    command: await serverPath("dnsmasq"),
    args: (folder) => [
      `--conf-file=${join(folder, "conf")}`,
      `--addn-hosts=${join(folder, "hosts")}`,
      `--servers-file=${join(folder, "forward")}`,
    ],
    files: { conf: `${settings.join("\n")}\n`, hosts: hostsText(hosts), forward: "" },
    ready: async () => (await probe.resolve4(READY)).length === 1,
  });
}

function hostsText(hosts: NonNullable<Zone["hosts"]>): string {
  const lines = Object.entries(hosts).flatMap(([name, addresses]) =>
    addresses.map((address) => `${address} ${name}\n`),
  );
  return lines.join("");
}
