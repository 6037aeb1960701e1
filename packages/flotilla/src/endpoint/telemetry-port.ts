import type { Context } from "../context/context.ts";
import type { Middleware } from "./endpoint.ts";
import type { LifecycleEvent } from "./lifecycle-event.ts";
import type { ServerObserver } from "./observer.ts";
import type { ErrorReporter } from "./report.ts";
import type { StateReport } from "./state-report.ts";

/** A request to the admin port. */
export interface AdminRequest {
  readonly method: string;
  /** What follows the `?`. */
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** At most 64 KiB of text; empty for GET. */
  readonly body: string;
}

/** The answer of the admin port. */
export interface AdminResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** A page of the admin port: one path, every method. */
export type AdminRoute = (request: AdminRequest) => AdminResponse | Promise<AdminResponse>;

/** What a host and a channel need of telemetry; `telemetry()` makes one. */
export interface TelemetryPort {
  /** Observes the calls a host serves. */
  readonly server: ServerObserver;
  /**
   * Makes what observes the calls of a channel; it goes around all its other middlewares. Asked once a channel.
   *
   * @param protocol - what carries the calls, as the connector says.
   */
  client(protocol: string): Middleware;
  /** Pages of the admin port by path: `/metrics`. One at `/state` tells of all that is watched. */
  readonly admin: Readonly<Record<string, AdminRoute>>;
  /** Prepares the context that all others of a host come from: logs and spans of work that no call asked for. For programs without a host, too. */
  enter?(root: Context): Context;
  /**
   * Has `report` called whenever metrics are collected or somebody looks at `/state`.
   *
   * @returns what ends that; it calls `report` once more, so that no count is lost.
   */
  watch?(report: (to: StateReport) => void): () => void;
  /** Told of the steps of the life of a host, and of changes in what stands around calls. Default: a line to standard error. */
  readonly onEvent?: (event: LifecycleEvent) => void;
  /** Told of failures whose cause the caller must not see. Default: a JSON line to standard error. */
  readonly onError?: ErrorReporter;
  /**
   * Writes the lines and sends the spans and log records that wait, for processes that are frozen between calls. Never rejects.
   *
   * @param timeoutMs - how long it may take, milliseconds. Default 5000.
   */
  flush?(timeoutMs?: number): Promise<void>;
  /**
   * Sends what is still held. Called when the host has stopped; a second call waits for the same end.
   *
   * @param timeoutMs - for all of it, milliseconds: what is not sent by then is dropped and counted. Default 5000.
   */
  close(timeoutMs?: number): Promise<void>;
}
