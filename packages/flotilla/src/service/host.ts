import { inspect } from "node:util";
import { systemClock } from "../clock/system-clock.ts";
import type { LifecycleEvent } from "../endpoint/lifecycle-event.ts";
import { ServiceError } from "../errors/service-error.ts";
import { serverDefaults } from "./defaults.ts";
import type { HostOptions, HostSettings, RunningHost } from "./host-options.ts";
import { Running } from "./running-host.ts";
import { onSignals } from "./signals.ts";

/** A process that has shut down but is kept alive by something is ended after so long. */
const EXIT_GRACE_MS = 2000;

/** A process that serves: built by {@link host}, started by `run` or `start`. */
export interface Host {
  /**
   * Starts, serves until SIGTERM or SIGINT, or until a task ends, then stops in order. Resolves when all is closed; a second
   * signal exits at once. After a signal the process is ended two seconds later, whatever still keeps it alive. For `main`.
   *
   * @throws Error when it could not start, or when a task failed.
   */
  run(): Promise<void>;
  /** Starts without minding signals. For tests and for processes with several hosts. */
  start(): Promise<RunningHost>;
}

/**
 * Puts services, listeners, registration, health and shutdown together into one process. Reads as the table of contents of
 * a `main`.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function host(options: HostOptions): Host {
  const settings = settle(options);
  return {
    async start() {
      const running = new Running(settings);
      await running.start();
      return running;
    },
    async run() {
      const running = new Running(settings);
      let signalled = false;
      // Heard from the first moment: a process that is told to go while it starts must not leave a registration behind.
      const forget = onSignals((signal) => {
        signalled = true;
        // What goes wrong shows through `stopped`.
        running.stop(signal).catch(() => {});
      });
      try {
        await running.start();
        await running.stopped;
      } catch (error) {
        if (!signalled || ServiceError.from(error).code !== "canceled") throw error;
      } finally {
        forget();
        if (signalled) exitSoon(settings);
      }
    },
  };
}

/** A handler that was cut off may still hold a timer or a socket: that must not keep a process that was told to end. */
function exitSoon({ name, onEvent }: HostSettings): void {
  systemClock
    .schedule(EXIT_GRACE_MS, () => {
      const alive = [...new Set(process.getActiveResourcesInfo())].join(", ");
      onEvent({ event: "warning", host: name, message: `still kept alive by ${alive}: exits all the same` });
      process.exit();
    })
    .unref();
}

function settle(options: HostOptions): HostSettings {
  const settings = {
    serve: [],
    listen: [],
    instance: {},
    admin: {},
    use: serverDefaults({ clock: options.clock ?? systemClock }),
    checks: {},
    tasks: {},
    close: [],
    drainDelayMs: options.register === undefined ? 0 : 500,
    drainTimeoutMs: 20_000,
    onEvent: options.telemetry?.onEvent ?? toStandardError,
    clock: systemClock,
    ...options,
  };
  if (settings.name === "") throw new TypeError("host: name must not be empty");
  for (const name of ["drainDelayMs", "drainTimeoutMs"] as const) {
    if (typeof settings[name] !== "number" || !(settings[name] >= 0))
      throw new TypeError(`host: ${name} must be 0 or more milliseconds, got ${settings[name]}`);
  }
  return settings;
}

function toStandardError({ host: name, message, error }: LifecycleEvent): void {
  const why =
    error === undefined ? "" : `: ${error instanceof Error ? (error.stack ?? error.message) : inspect(error)}`;
  process.stderr.write(`${name}: ${message}${why}\n`);
}
