/** A step in the life of a host. */
export interface LifecycleEvent {
  readonly event: "started" | "draining" | "stopped" | "failed" | "warning";
  readonly host: string;
  readonly message: string;
  readonly error?: unknown;
}
