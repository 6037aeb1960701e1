import type { Clock } from "../clock/clock.ts";
import type { Context } from "../context/context.ts";
import type { Registrar } from "../discovery/discovery.ts";
import type { Middleware } from "../endpoint/endpoint.ts";
import type { LifecycleEvent } from "../endpoint/lifecycle-event.ts";
import type { ErrorReporter } from "../endpoint/report.ts";
import type { Service } from "../endpoint/service.ts";
import type { TelemetryPort } from "../endpoint/telemetry-port.ts";
import type { Listener } from "../endpoint/transport.ts";
import type { AdminOptions, ReadinessCheck } from "./admin.ts";
import type { Closable } from "./closable.ts";

/** Options of {@link host}. */
export interface HostOptions {
  /** Name of the process, for logs and instance ids: `calculator`. */
  readonly name: string;
  /** What is served, on every listener. */
  readonly serve?: readonly Service[];
  /**
   * Middlewares around every method of all that is served, the first outermost; outside of those given to `implement`. Default
   * `serverDefaults()`.
   */
  readonly use?: readonly Middleware[];
  /** Where it is served: `[http({ port: 8080 })]`. */
  readonly listen?: readonly Listener[];
  /** Where each service is registered under its contract's name. Default: nowhere. */
  readonly register?: Registrar;
  /** What instances are registered with. */
  readonly instance?: {
    /** Unique among the instances of each service. Default: the name of the host, something random, and the protocol. */
    readonly id?: string;
    readonly zone?: string;
    readonly weight?: number;
    readonly version?: string;
    readonly metadata?: Readonly<Record<string, string>>;
  };
  /** The port of the probes; `false` for none. Default: a free port on loopback. */
  readonly admin?: AdminOptions | false;
  /** Tracing, metrics and logs of all calls that are served: `telemetry()`. Closed last. Default none. */
  readonly telemetry?: TelemetryPort;
  /** Conditions of readiness by name. Default none. */
  readonly checks?: Readonly<Record<string, ReadinessCheck>>;
  /**
   * Work that goes on beside serving, by name. One that ends early, well or not, ends the host; on shutdown its context is
   * cancelled once the calls in flight have ended, and it is waited for.
   */
  readonly tasks?: Readonly<Record<string, (ctx: Context) => Promise<void>>>;
  /** Closed last, in reverse order: what was opened first is closed last. Default none. */
  readonly close?: readonly Closable[];
  /**
   * How long the host goes on accepting, connections and calls, after it was deregistered, for the news to spread, milliseconds. Then it asks what clients
   * are left to go (GOAWAY), and leaves connections of HTTP/1.1 open for up to 100 ms more. Default 500 with a registrar, else 0.
   */
  readonly drainDelayMs?: number;
  /** How long calls in flight, and then tasks, may take to end before they are cancelled, milliseconds. Default 20000. */
  readonly drainTimeoutMs?: number;
  /**
   * Told of failures whose cause the caller must not see. Default: the log of `telemetry`, else a JSON line to
   * standard error.
   */
  readonly onError?: ErrorReporter;
  /**
   * Told of each step of the life of the host, and when an overload begins or is over, or anything else changes in what stands around the
   * calls it serves. Default: the log of `telemetry`, else a line to standard error.
   */
  readonly onEvent?: (event: LifecycleEvent) => void;
  readonly clock?: Clock;
}

/** Options with every default filled in. */
export type HostSettings = Required<Omit<HostOptions, "register" | "onError" | "telemetry">> &
  Pick<HostOptions, "register" | "onError" | "telemetry">;

/** A host that serves. */
export interface RunningHost {
  /** Addresses of the listeners, in order: `http://127.0.0.1:8080`. */
  readonly addresses: readonly string[];
  /** Address of the admin port; undefined without one. */
  readonly adminAddress: string | undefined;
  /** Resolves when the host has stopped, rejects when a task failed. */
  readonly stopped: Promise<void>;
  /**
   * Stops in order: unready, deregister, wait, stop accepting, finish what is in flight, close. Idempotent.
   *
   * @throws what a task or a resource failed with.
   */
  stop(): Promise<void>;
}
