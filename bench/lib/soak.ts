import { spawn } from "node:child_process";
import { join } from "node:path";
import { startBroker } from "./broker.ts";
import { surveyMachine } from "./machine.ts";

const folder = join(import.meta.dirname, "..", "loops", "soak");
const ROUNDS = 10;

/** What runs for long to see whether memory is flat and nothing is left: the file, its arguments, and calls a round. */
interface Soak {
  readonly summary: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly calls: number;
  /** What the calls go through. */
  readonly broker?: "nats" | "rabbitmq";
}

const overNetwork = (transport: string, broker?: Soak["broker"]): Soak => ({
  summary: `a million calls over ${transport}, on a connection that breaks ten thousand times: the heap (--quick: a tenth)`,
  file: "reconnects.ts",
  args: [transport],
  calls: 100_000,
  ...(broker !== undefined && { broker }),
});

export const soaks: Readonly<Record<string, Soak>> = {
  soak: {
    summary: "ten million calls with trouble among them, in process: the heap after each million (--quick: a tenth)",
    file: "many-calls.ts",
    args: [],
    calls: 1_000_000,
  },
  "soak-grpc": overNetwork("grpc"),
  "soak-http": overNetwork("http"),
  "soak-http2": overNetwork("http2"),
  "soak-nats": overNetwork("nats", "nats"),
  "soak-amqp": overNetwork("amqp", "rabbitmq"),
};

/** Runs it in a process of its own. @returns 0 when memory stayed flat and nothing was left. */
export async function runSoak({ file, args, calls, broker }: Soak, quick: boolean): Promise<number> {
  const through = broker === undefined ? undefined : await startBroker(broker, surveyMachine());
  const command = ["--expose-gc", join(folder, file), ...args, String(ROUNDS), String(quick ? calls / 10 : calls)];
  if (through !== undefined) command.push(through.port);
  const child = spawn(process.execPath, command, {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, NODE_ENV: "production" },
  });
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => resolve(code ?? 1));
    });
  } finally {
    await through?.close();
  }
}
