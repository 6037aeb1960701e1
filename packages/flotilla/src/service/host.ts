import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { systemClock } from "../clock/system-clock.ts";
import type { CancelContext } from "../context/context.ts";
import { sleep } from "../context/sleep.ts";
import { background, withCancel, withTimeout, withValue } from "../context/with.ts";
import type { Registration } from "../discovery/discovery.ts";
import type { Instance } from "../endpoint/instance.ts";
import { errorReporterKey } from "../endpoint/report.ts";
import type { Listening } from "../endpoint/transport.ts";
import { ServiceError } from "../errors/service-error.ts";
import { Admin } from "./admin.ts";
import type { Closable, HostOptions, HostSettings, LifecycleEvent } from "./host-options.ts";
import { onSignals } from "./signals.ts";

const REGISTER_TIMEOUT_MS = 10_000;
const DEREGISTER_TIMEOUT_MS = 5000;

/** A process that serves: built by {@link host}, started by `run` or `start`. */
export interface Host {
  /**
   * Starts, serves until SIGTERM or SIGINT, or until a task ends, then stops in order. Resolves when all is closed; a second
   * signal exits at once. For `main`.
   *
   * @throws Error when it could not start, or when a task failed.
   */
  run(): Promise<void>;
  /** Starts without minding signals. For tests and for processes with several hosts. */
  start(): Promise<RunningHost>;
}

/** A host that serves. */
export interface RunningHost {
  /** Addresses of the listeners, in order: `http://127.0.0.1:8080`. */
  readonly addresses: readonly string[];
  /** Address of the admin port; undefined without one. */
  readonly adminAddress: string | undefined;
  /** Resolves when the host has stopped, rejects when a task failed. */
  readonly stopped: Promise<void>;
  /** Stops in order: unready, deregister, wait, stop accepting, finish what is in flight, close. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Puts services, listeners, registration, health and shutdown together into one process. Reads as the table of contents of
 * a `main`.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function host(options: HostOptions): Host {
  const settings = settle(options);
  const start = async (): Promise<RunningHost> => {
    const running = new Running(settings);
    await running.start();
    return running;
  };
  return {
    start,
    async run() {
      const running = await start();
      const forget = onSignals((signal) => {
        settings.onEvent({ event: "draining", host: settings.name, message: `${signal}: finishing what is in flight` });
        // What goes wrong shows through `stopped`.
        running.stop().catch(() => {});
      });
      try {
        await running.stopped;
      } finally {
        forget();
      }
    },
  };
}

function settle(options: HostOptions): HostSettings {
  const settings = {
    serve: [],
    listen: [],
    instance: {},
    admin: {},
    checks: {},
    tasks: {},
    close: [],
    drainDelayMs: options.register === undefined ? 0 : 500,
    drainTimeoutMs: 20_000,
    onEvent: toStandardError,
    clock: systemClock,
    ...options,
  };
  if (settings.name === "") throw new TypeError("host: name must not be empty");
  for (const name of ["drainDelayMs", "drainTimeoutMs"] as const) {
    if (!(settings[name] >= 0))
      throw new TypeError(`host: ${name} must be 0 or more milliseconds, got ${settings[name]}`);
  }
  return settings;
}

class Running implements RunningHost {
  readonly stopped: Promise<void>;
  readonly #settings: HostSettings;
  readonly #id: string;
  /** Parent of every call; cancelled when they have had their time. */
  readonly #root: CancelContext;
  readonly #tasksScope: CancelContext;
  readonly #admin: Admin | undefined;
  readonly #listening: Listening[] = [];
  readonly #registrations: Registration[] = [];
  readonly #tasks: Promise<void>[] = [];
  #started = false;
  #stopping: Promise<void> | undefined;
  #settle!: { resolve: () => void; reject: (error: unknown) => void };
  #failure: { error: unknown } | undefined;

  constructor(settings: HostSettings) {
    this.#settings = settings;
    this.#id = `${settings.name}-${randomUUID().slice(0, 8)}`;
    const top = background(settings.clock);
    this.#root = withCancel(settings.onError === undefined ? top : withValue(top, errorReporterKey, settings.onError));
    this.#tasksScope = withCancel(this.#root);
    this.stopped = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever only calls stop() gets the failure from there.
    this.stopped.catch(() => {});
    this.#admin =
      settings.admin === false
        ? undefined
        : new Admin(this.#root, () => ({
            started: this.#started,
            draining: this.#stopping !== undefined,
            checks: settings.checks,
          }));
  }

  get addresses(): readonly string[] {
    return this.#listening.map((listening) => listening.address);
  }

  get adminAddress(): string | undefined {
    return this.#admin?.address;
  }

  async start(): Promise<void> {
    const { serve, listen, admin } = this.#settings;
    try {
      if (admin !== false) await this.#admin!.listen(admin);
      for (const listener of listen) this.#listening.push(await listener.listen(serve, this.#root));
      for (const [name, task] of Object.entries(this.#settings.tasks)) this.#tasks.push(this.#supervise(name, task));
      await this.#register();
    } catch (error) {
      await this.stop().catch(() => {});
      throw error;
    }
    this.#started = true;
    const at = this.addresses.join(", ");
    const what = serve.map((service) => service.name).join(", ");
    this.#event(
      "started",
      `serving ${what || "nothing"} at ${at || "no address"}${this.#admin ? `, admin ${this.#admin.address}` : ""}`,
    );
  }

  async #register(): Promise<void> {
    const { register, serve, instance } = this.#settings;
    if (register === undefined) return;
    const ctx = withTimeout(this.#root, REGISTER_TIMEOUT_MS);
    const admin = this.#admin === undefined ? {} : { admin: this.#admin.address };
    try {
      for (const listening of this.#listening) {
        const registered: Instance = {
          ...instance,
          id: `${this.#id}-${listening.protocol}`,
          address: listening.address,
          metadata: { host: this.#settings.name, pid: String(process.pid), ...admin, ...instance.metadata },
        };
        for (const service of serve) this.#registrations.push(await register.register(ctx, service.name, registered));
      }
    } finally {
      ctx.cancel();
    }
  }

  async #supervise(name: string, task: (ctx: CancelContext) => Promise<void>): Promise<void> {
    try {
      await task(this.#tasksScope);
      if (this.#stopping === undefined) this.#event("warning", `task ${name} has ended: the host stops`);
    } catch (error) {
      // Cancelled with the host: its way of ending.
      if (this.#stopping !== undefined && this.#tasksScope.err !== undefined) return;
      this.#failure ??= { error };
      this.#event("failed", `task ${name} failed: the host stops`, error);
    }
    // Not awaited: stopping waits for this very task.
    void this.stop().catch(() => {});
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    // In a turn of its own, so that `draining` is visible before anything is taken down.
    await Promise.resolve();
    const { drainDelayMs, drainTimeoutMs } = this.#settings;
    await this.#deregister();
    for (const listening of this.#listening) listening.discourage();
    if (drainDelayMs > 0 && this.#started) await sleep(this.#root, drainDelayMs);
    const drained = Promise.all(this.#listening.map((listening) => listening.drain()));
    const inTime = await this.#within(drainTimeoutMs, drained);
    if (!inTime) {
      const left = this.#listening.reduce((sum, listening) => sum + listening.inFlight, 0);
      this.#event("warning", `${left} calls were still in flight after ${drainTimeoutMs} ms and are cancelled`);
    }
    const cause = new ServiceError("unavailable", "the server is shutting down");
    await Promise.all(this.#listening.map((listening) => listening.close(cause)));
    this.#tasksScope.cancel(cause);
    if (!(await this.#within(drainTimeoutMs, Promise.all(this.#tasks)))) {
      this.#event("warning", `tasks were still running after ${drainTimeoutMs} ms and are abandoned`);
    }
    this.#root.cancel(cause);
    await this.#closeAll();
    await this.#admin?.close();
    this.#event("stopped", "stopped");
    if (this.#failure === undefined) this.#settle.resolve();
    else this.#settle.reject(this.#failure.error);
  }

  async #deregister(): Promise<void> {
    const ctx = withTimeout(this.#root, DEREGISTER_TIMEOUT_MS);
    const results = await Promise.allSettled(this.#registrations.map((registration) => registration.deregister(ctx)));
    ctx.cancel();
    for (const result of results) {
      if (result.status === "rejected")
        this.#event("warning", "could not be deregistered: the lease will run out", result.reason);
    }
  }

  async #closeAll(): Promise<void> {
    for (const closable of this.#settings.close.toReversed()) {
      try {
        await closeOne(closable);
      } catch (error) {
        this.#failure ??= { error };
        this.#event("warning", "a resource could not be closed", error);
      }
    }
  }

  /** Whether the work is done in the time given. */
  async #within(ms: number, work: Promise<unknown>): Promise<boolean> {
    let timer: { cancel(): void } | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = this.#settings.clock.schedule(ms, () => resolve(false));
    });
    const inTime = await Promise.race([work.then(() => true), late]);
    timer?.cancel();
    return inTime;
  }

  #event(event: LifecycleEvent["event"], message: string, error?: unknown): void {
    this.#settings.onEvent({ event, host: this.#settings.name, message, ...(error !== undefined && { error }) });
  }
}

async function closeOne(closable: Closable): Promise<void> {
  if ("close" in closable) await closable.close();
  else if (Symbol.asyncDispose in closable) await closable[Symbol.asyncDispose]();
  else closable[Symbol.dispose]();
}

function toStandardError({ host: name, message, error }: LifecycleEvent): void {
  const why =
    error === undefined ? "" : `: ${error instanceof Error ? (error.stack ?? error.message) : inspect(error)}`;
  process.stderr.write(`${name}: ${message}${why}\n`);
}
