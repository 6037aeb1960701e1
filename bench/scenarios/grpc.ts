import { join } from "node:path";
import { Child } from "../lib/child.ts";
import type { Machine } from "../lib/machine.ts";
import { nothingToClose, type Scenario, type Subject } from "../lib/scenario.ts";
import { openWorker } from "../lib/worker-stage.ts";

const folder = join(import.meta.dirname, "..", "grpc");

/** Which of the two processes a row is about. */
type Side = "server" | "client" | "both";

/** A client process under load from itself, and the server process it calls. */
async function pair(server: string, client: string, kind: string, side: Side, machine: Machine): Promise<Subject> {
  const child = new Child(server, machine.loadCpus, join(folder, "servers", `${server}.ts`));
  try {
    const { port } = await child.ask<{ port: number }>(undefined);
    const file = join(folder, "clients", `${client}.ts`);
    const calling = await openWorker(client, machine.subjectCpus, file, [String(port), kind]);
    const cpuOfServer = async (): Promise<number> => (await child.ask<{ cpuMicros: number }>({})).cpuMicros;
    return {
      async measure(seconds) {
        const before = await cpuOfServer();
        const { value, cpu } = await calling.measure(seconds);
        const served = ((await cpuOfServer()) - before) / (value * seconds);
        if (side === "both") return { value, cpu: cpu + served };
        // The two wait for each other: what one side can do shows in its processor time only.
        const own = side === "server" ? served : cpu;
        return { value: 1e6 / own, cpu: own };
      },
      async close() {
        await calling.close();
        await child.close();
      },
    };
  } catch (error) {
    await child.close();
    throw error;
  }
}

const rows = {
  "raw-http2": "node:http2 by hand, the same bytes",
  flotilla: "descriptor contract, the client with discovery, balancing and its default stack",
  "flotilla-transport": "the same server, the client's transport alone",
  "grpc-js": "@grpc/grpc-js",
  "connect-node": "@connectrpc/connect-node by gRPC",
};

const serverOf = (row: string): string => (row === "flotilla-transport" ? "flotilla" : row);

function scenario(
  name: string,
  summary: string,
  kind: string,
  side: Side,
  shape: Pick<Scenario, "unit" | "better">,
): Scenario {
  const { "flotilla-transport": transport, ...servers } = rows;
  return {
    name,
    summary,
    reference: "raw-http2",
    ...shape,
    rows: side === "server" ? servers : { ...servers, "flotilla-transport": transport },
    seconds: 0.4,
    rounds: 31,
    fine: true,
    stage: (machine) =>
      Promise.resolve({
        open: (row) =>
          pair(
            side === "client" ? "raw-http2" : serverOf(row),
            side === "server" ? "raw-http2" : row,
            kind,
            side,
            machine,
          ),
        close: nothingToClose,
      }),
  };
}

const rate = { unit: "req/s", better: "more" } as const;
const time = { unit: "µs", better: "less" } as const;

/** gRPC: whole path, server and client apart, streams, and latency. */
export const grpcScenarios: readonly Scenario[] = [
  scenario(
    "grpc",
    "unary sum by gRPC, 64 in flight on one connection: client and server of each row",
    "sum",
    "both",
    rate,
  ),
  scenario(
    "grpc-server",
    "the same a second of the server's processor time, under a client of node:http2 by hand",
    "sum",
    "server",
    rate,
  ),
  scenario(
    "grpc-client",
    "the same a second of the client's processor time, against a server of node:http2 by hand",
    "sum",
    "client",
    rate,
  ),
  scenario("grpc-stream", "messages of a server stream, one stream after the other", "ticks", "both", rate),
  scenario("grpc-p50", "the median time of a call of grpc", "50", "both", time),
  scenario("grpc-p99", "the 99th percentile of a call of grpc", "99", "both", time),
];
