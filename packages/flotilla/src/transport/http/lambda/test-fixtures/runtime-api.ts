import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../../../clock/system-clock.ts";

/** How an invocation ended, as the function said it. */
export type Outcome = { readonly response: unknown } | { readonly error: InvocationError };

/** What a function reports when it fails. */
export interface InvocationError {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace: readonly string[];
}

interface Invocation {
  readonly id: string;
  readonly event: unknown;
  readonly timeoutMs: number;
  settle(outcome: Outcome): void;
}

async function read(req: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of req.setEncoding("utf8")) text += chunk as string;
  return text;
}

/** The platform's side of the runtime API, for one function in a process of its own. */
export class RuntimeApi {
  readonly #server: Server;
  readonly #waiting: Invocation[] = [];
  readonly #running = new Map<string, Invocation>();
  #process: ChildProcess | undefined;
  #asks: ((invocation: Invocation) => void) | undefined;
  #count = 0;

  private constructor() {
    this.#server = createServer((req, res) => {
      this.#serve(req, res).catch((error: unknown) => res.destroy(error as Error));
    });
  }

  /** Starts the function whose handler is exported by `file`. */
  static async start(file: URL): Promise<RuntimeApi> {
    const api = new RuntimeApi();
    await new Promise<void>((resolve) => void api.#server.listen(0, "127.0.0.1", resolve));
    const { port } = api.#server.address() as AddressInfo;
    const bootstrap = fileURLToPath(new URL("bootstrap.ts", import.meta.url));
    api.#process = spawn(process.execPath, ["--conditions=@flotilla/source", bootstrap], {
      env: { ...process.env, AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`, _HANDLER: `${fileURLToPath(file)}#handler` },
      stdio: ["ignore", "inherit", "inherit"],
    });
    return api;
  }

  /** Has the function handle an event. */
  invoke(event: unknown, timeoutMs = 20_000): Promise<Outcome> {
    return new Promise((settle) => {
      const invocation = { id: `8476a536-e9f4-11e8-9739-${++this.#count}`, event, timeoutMs, settle };
      if (this.#asks === undefined) this.#waiting.push(invocation);
      else this.#asks(invocation);
    });
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const [, id, what] = /^\/2018-06-01\/runtime\/invocation\/([^/]+)(?:\/(response|error))?$/.exec(req.url!)!;
    if (id !== "next") {
      const body = JSON.parse(await read(req)) as never;
      this.#running.get(id!)!.settle(what === "response" ? { response: body } : { error: body });
      this.#running.delete(id!);
      res.writeHead(202).end('{"status":"OK"}');
      return;
    }
    const invocation =
      this.#waiting.shift() ??
      (await new Promise<Invocation>((resolve) => {
        this.#asks = resolve;
      }));
    this.#asks = undefined;
    this.#running.set(invocation.id, invocation);
    res.writeHead(200, {
      "content-type": "application/json",
      "lambda-runtime-aws-request-id": invocation.id,
      "lambda-runtime-deadline-ms": String(systemClock.epoch() + invocation.timeoutMs),
      "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-2:123456789012:function:freight",
      "lambda-runtime-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
    });
    res.end(JSON.stringify(invocation.event));
  }

  async close(): Promise<void> {
    const child = this.#process!;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
