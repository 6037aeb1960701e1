/** A step in the life of a host, or a change in what stands around its calls or those of a channel. */
export interface LifecycleEvent {
  /** `notice`: something that there was a warning of is well again. */
  readonly event: "started" | "draining" | "stopped" | "failed" | "warning" | "notice";
  /** Name of the host; undefined when it is about a channel. */
  readonly host: string | undefined;
  readonly message: string;
  readonly error?: unknown;
}
