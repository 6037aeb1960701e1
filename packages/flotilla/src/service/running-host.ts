import { randomUUID } from "node:crypto";
import { within } from "../clock/within.ts";
import type { CancelContext } from "../context/context.ts";
import { sleep } from "../context/sleep.ts";
import { background, withCancel, withTimeout, withValue } from "../context/with.ts";
import type { Registration } from "../discovery/discovery.ts";
import { chain, policiesOf } from "../endpoint/endpoint.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { LifecycleEvent } from "../endpoint/lifecycle-event.ts";
import { serverObserverKey } from "../endpoint/observer.ts";
import { readinessKey } from "../endpoint/readiness.ts";
import { errorReporterKey } from "../endpoint/report.ts";
import { type Service, type ServingMiddleware, wrapped } from "../endpoint/service.ts";
import { statePage } from "../endpoint/state-page.ts";
import type { StateReport } from "../endpoint/state-report.ts";
import type { Listening } from "../endpoint/transport.ts";
import { ServiceError } from "../errors/service-error.ts";
import { Admin, type Health, readiness } from "./admin.ts";
import { closeOne } from "./closable.ts";
import type { HostSettings, RunningHost } from "./host-options.ts";
import { listenTo } from "./policy-watch.ts";

const REGISTER_TIMEOUT_MS = 10_000;
const DEREGISTER_TIMEOUT_MS = 5000;
/** How long one listener or resource may take to close. */
const CLOSE_TIMEOUT_MS = 5000;

/** A host from its first step to its last. */
export class Running implements RunningHost {
  readonly stopped: Promise<void>;
  readonly #settings: HostSettings;
  /** Parent of every call; cancelled when they have had their time. */
  readonly #root: CancelContext;
  readonly #startScope: CancelContext;
  readonly #tasksScope: CancelContext;
  readonly #admin: Admin | undefined;
  readonly #unwatch: (() => void) | undefined;
  readonly #unlisten: () => void;
  readonly #listening: Listening[] = [];
  readonly #registrations: Registration[] = [];
  readonly #tasks: Promise<void>[] = [];
  #starting: Promise<unknown> | undefined;
  #started = false;
  #stopping: Promise<void> | undefined;
  #settle!: { resolve: () => void; reject: (error: unknown) => void };
  #failure: { readonly error: unknown } | undefined;

  constructor(settings: HostSettings) {
    this.#settings = settings;
    const { telemetry, onError = telemetry?.onError } = settings;
    let top = background(settings.clock);
    if (onError !== undefined) top = withValue(top, errorReporterKey, onError);
    if (telemetry !== undefined) {
      top = withValue(top, serverObserverKey, telemetry.server);
      top = telemetry.enter?.(top) ?? top;
    }
    const policies = [...policiesOf(settings.use), ...settings.serve.flatMap((service) => service.policies ?? [])];
    const report = (to: StateReport): void => {
      for (const { address, connections } of this.#listening) {
        if (connections !== undefined) to.listener(address, connections);
      }
      for (const policy of policies) to.policy(policy);
    };
    this.#unwatch = telemetry?.watch?.(report);
    this.#unlisten = listenTo(policies, ({ level, message }) => this.#event(level, message));
    const health = (): Health => ({
      started: this.#started,
      draining: this.#stopping !== undefined,
      checks: settings.checks,
    });
    top = withValue(top, readinessKey, async (ctx) => (await readiness(ctx, health())).status === "ok");
    this.#root = withCancel(top);
    this.#startScope = withCancel(this.#root);
    this.#tasksScope = withCancel(this.#root);
    this.stopped = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever only calls stop() gets the failure from there.
    this.stopped.catch(() => {});
    this.#admin =
      settings.admin === false
        ? undefined
        : new Admin(this.#root, health, { "/state": statePage(report), ...telemetry?.admin });
  }

  get addresses(): readonly string[] {
    return this.#listening.map((listening) => listening.address);
  }

  get adminAddress(): string | undefined {
    return this.#admin?.address;
  }

  /** @throws Error when it could not start; all that was opened is closed again by then. */
  async start(): Promise<void> {
    const starting = this.#open();
    this.#starting = starting.catch(() => {});
    try {
      await starting;
    } catch (error) {
      if (this.#stopping === undefined) this.#failure = { error };
      await this.stop("could not start").catch(() => {});
      if (this.#failure !== undefined) throw this.#failure.error;
      throw new ServiceError("canceled", "the host was stopped before it had started", { cause: error });
    }
  }

  async #open(): Promise<void> {
    const { serve, use, listen, admin, tasks } = this.#settings;
    const around = chain(...use);
    const served: Service[] = serve.map(({ name, methods }) => ({
      name,
      methods: methods.map((method) => wrapped(method, around)),
    }));
    // Those that middlewares bring with them: nothing stands around them, and nobody looks for them in a registry.
    for (const middleware of use) if ("service" in middleware) served.push((middleware as ServingMiddleware).service);
    if (admin !== false) await this.#admin!.listen(admin);
    for (const listener of listen) {
      this.#goOn();
      this.#listening.push(await listener.listen(served, this.#root));
    }
    for (const [name, task] of Object.entries(tasks)) this.#tasks.push(this.#supervise(name, task));
    await this.#register();
    this.#goOn();
    this.#started = true;
    const at = this.addresses.join(", ");
    const what = serve.map((service) => service.name).join(", ");
    this.#event(
      "started",
      `serving ${what || "nothing"} at ${at || "no address"}${this.#admin ? `, admin ${this.#admin.address}` : ""}`,
    );
  }

  /** @throws ServiceError when the host was stopped meanwhile. */
  #goOn(): void {
    if (this.#stopping !== undefined) throw new ServiceError("canceled", "the host is stopping");
  }

  async #register(): Promise<void> {
    const { register, serve, instance, name } = this.#settings;
    if (register === undefined) return;
    const ctx = withTimeout(this.#startScope, REGISTER_TIMEOUT_MS);
    const admin = this.#admin === undefined ? {} : { admin: this.#admin.address };
    const unique = `${name}-${randomUUID().slice(0, 8)}`;
    try {
      const addresses = this.#listening.flatMap(({ address, protocol, alsoAt = [], discoverable = true }) => {
        if (!discoverable) return [];
        return [address, ...alsoAt].map((one, i) => ({ address: one, protocol: i === 0 ? protocol : schemeOf(one) }));
      });
      for (const [index, { address, protocol }] of addresses.entries()) {
        const registered: Instance = {
          ...instance,
          id: `${instance.id ?? `${unique}-${protocol}`}${index === 0 ? "" : `-${index + 1}`}`,
          address,
          metadata: { host: name, pid: String(process.pid), ...admin, ...instance.metadata },
        };
        for (const service of serve) {
          this.#goOn();
          try {
            this.#registrations.push(await register.register(ctx, service.name, registered));
          } catch (error) {
            const why = error instanceof Error ? error.message : String(error);
            throw new Error(`host: ${service.name} cannot be registered at ${address}: ${why}`, { cause: error });
          }
        }
      }
    } finally {
      ctx.cancel();
    }
  }

  async #supervise(name: string, task: (ctx: CancelContext) => Promise<void>): Promise<void> {
    try {
      await task(this.#tasksScope);
      if (this.#stopping !== undefined) return;
      this.#event("warning", `task ${name} has ended: the host stops`);
    } catch (error) {
      // Cancelled with the host: its way of ending.
      if (this.#tasksScope.err !== undefined && ServiceError.from(error).code === "canceled") return;
      this.#failure ??= { error };
      this.#event("failed", `task ${name} failed${this.#stopping === undefined ? ": the host stops" : ""}`, error);
    }
    // Not awaited: stopping waits for this very task.
    this.stop(`task ${name} has ended`).catch(() => {});
  }

  /** @param reason - for the event that tells of it. */
  stop(reason = "stop was called"): Promise<void> {
    this.#stopping ??= this.#stop(reason);
    return this.#stopping;
  }

  async #stop(reason: string): Promise<void> {
    // In a turn of its own, so that `draining` is visible before anything is taken down.
    await Promise.resolve();
    this.#startScope.cancel();
    await this.#starting;
    const { drainDelayMs, drainTimeoutMs, close, name } = this.#settings;
    if (this.#started) this.#event("draining", `${reason}: finishing what is in flight`);
    await this.#deregister();
    for (const listening of this.#listening) listening.discourage();
    if (drainDelayMs > 0 && this.#started) await sleep(this.#root, drainDelayMs);

    const draining = this.#listening.map((listening) => this.#attempt("a listener", () => listening.drain()));
    if (!(await this.#within(drainTimeoutMs, Promise.all(draining)))) {
      const left = this.#listening.reduce((sum, listening) => sum + listening.inFlight, 0);
      this.#event("warning", `${left} calls were still in flight after ${drainTimeoutMs} ms and are cancelled`);
    }
    const cause = new ServiceError("unavailable", `${name} is shutting down`);
    await Promise.all(this.#listening.map((listening) => this.#close("a listener", () => listening.close(cause))));
    this.#tasksScope.cancel(cause);
    if (!(await this.#within(drainTimeoutMs, Promise.all(this.#tasks)))) {
      this.#event("warning", `tasks were still running after ${drainTimeoutMs} ms and are abandoned`);
    }
    this.#root.cancel(cause);
    for (const closable of close.toReversed()) await this.#close("a resource", () => closeOne(closable));
    await this.#admin?.close();
    if (this.#started) this.#event("stopped", "stopped");
    const { telemetry } = this.#settings;
    this.#unlisten();
    this.#unwatch?.();
    if (telemetry !== undefined) {
      // It keeps to the time it is given, and counts what it drops; only if it does not is it abandoned.
      await this.#close("telemetry", () => telemetry.close(CLOSE_TIMEOUT_MS), CLOSE_TIMEOUT_MS + 500);
    }
    if (this.#failure === undefined) return this.#settle.resolve();
    this.#settle.reject(this.#failure.error);
    throw this.#failure.error;
  }

  async #deregister(): Promise<void> {
    const ctx = withTimeout(this.#root, DEREGISTER_TIMEOUT_MS);
    await Promise.all(
      this.#registrations.map(async (registration) => {
        try {
          await registration.deregister(ctx);
        } catch (error) {
          this.#event("warning", "could not be deregistered: the lease will run out", error);
        }
      }),
    );
    ctx.cancel();
  }

  /** Closes something, as far as it lets itself be closed. */
  async #close(what: string, close: () => unknown, timeoutMs = CLOSE_TIMEOUT_MS): Promise<void> {
    if (await this.#within(timeoutMs, this.#attempt(what, close))) return;
    this.#event("warning", `${what} was not closed within ${timeoutMs} ms and is abandoned`);
  }

  /** What cannot be closed must not keep the rest from being closed. */
  async #attempt(what: string, close: () => unknown): Promise<void> {
    try {
      await close();
    } catch (error) {
      this.#failure ??= { error };
      this.#event("warning", `${what} could not be closed`, error);
    }
  }

  /** Whether the work is done in the time given. */
  #within(ms: number, work: Promise<unknown>): Promise<boolean> {
    return within(this.#settings.clock, ms, work);
  }

  #event(event: LifecycleEvent["event"], message: string, error?: unknown): void {
    this.#settings.onEvent({ event, host: this.#settings.name, message, ...(error !== undefined && { error }) });
  }
}

function schemeOf(address: string): string {
  return address.slice(0, address.indexOf(":"));
}
