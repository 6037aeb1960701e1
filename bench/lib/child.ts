import { type ChildProcess, spawn } from "node:child_process";
import { pinned } from "./machine.ts";

const READY_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 3_000;
const KEPT_STDERR_CHARS = 4_000;

/** A child process that talks in messages and dies with its parent, because its IPC channel closes. */
export class Child {
  readonly #process: ChildProcess;
  readonly #name: string;
  readonly #exited: Promise<string>;
  #stderr = "";
  #ended = false;

  /** Runs a TypeScript file of the bench on the given cores. */
  constructor(name: string, cpus: string | undefined, file: string, args: readonly string[] = []) {
    this.#name = name;
    const [command, commandArgs] = pinned(cpus, [process.execPath, file, ...args]);
    this.#process = spawn(command, commandArgs, {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      env: { ...process.env, NODE_ENV: "production", NO_COLOR: "1" },
    });
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR_CHARS);
    });
    this.#exited = new Promise((resolve) => {
      this.#process.once("error", (error) => resolve(error.message));
      // "close" and not "exit": by then stderr has been read to its end.
      this.#process.once("close", (code, signal) => {
        this.#ended = true;
        resolve(`ended with ${signal ?? `code ${code}`}${lastErrorLine(this.#stderr)}`);
      });
    });
  }

  /** Sends `message` (if any) and resolves to the next message from the child; rejects when the child ends first. */
  async ask<T>(message: object | undefined, timeoutMs = READY_TIMEOUT_MS): Promise<T> {
    const answer = Promise.withResolvers<T>();
    const timer = setTimeout(
      () => answer.reject(new Error(`${this.#name} gave no answer in ${timeoutMs} ms`)),
      timeoutMs,
    );
    const onMessage = (value: unknown): void => {
      const failure = (value as { failure?: string }).failure;
      if (failure === undefined) answer.resolve(value as T);
      else answer.reject(new Error(failure));
    };
    this.#process.once("message", onMessage);
    void this.#exited.then((how) => answer.reject(new Error(`the process of ${this.#name} ${how}`)));
    if (message !== undefined && !this.#ended) this.#process.send(message);
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#process.off("message", onMessage);
    }
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), CLOSE_TIMEOUT_MS);
    this.#process.kill("SIGTERM");
    await this.#exited;
    clearTimeout(timer);
  }
}

/** Of a stack trace, the line that names the error. */
function lastErrorLine(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const line = lines.findLast((text) => /^\S*Error\b.*:/.test(text)) ?? lines.at(-1);
  return line === undefined ? "" : `: ${line.trim()}`;
}
