import { checkPositive, pick } from "../errors/check-positive.ts";

/** What transports that are made of {@link Serving} and {@link Calling} can be told. */
export interface WireOptions {
  /** Form of messages whose contract has a protobuf form. Default `proto`. */
  readonly format?: "proto" | "json";
  /** Largest message either way, as serialised, bytes. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Messages of a stream that may wait for their reader before the writer has to. Default 16. */
  readonly maxWaitingMessages?: number;
  /** Calls in flight at one listener beyond which further ones are refused as `unavailable`. Default 10000. */
  readonly maxConcurrentCalls?: number;
  /** What a unary call may take when neither method nor caller sets an earlier deadline, milliseconds. Default 30000. */
  readonly timeoutMs?: number;
}

/** Options with every default filled in. */
export interface WireSettings extends Required<WireOptions> {
  /** Name of the transport, for errors, logs and spans: `memory`. */
  readonly protocol: string;
  /** Whether the event loop gets a turn now and then, so that endless calls cannot starve it. */
  readonly yields: boolean;
  /** Whether handlers run where `listen` was called: what the caller keeps in an AsyncLocalStorage stays with the caller. */
  readonly apart: boolean;
  /** Whether bytes are counted for telemetry: where there is a wire. */
  readonly counts: boolean;
  /** Status of the protocol underneath that all answers have, for telemetry; 0 where there is none. */
  readonly status: number;
}

const defaults: Omit<WireSettings, "protocol"> = {
  format: "proto",
  maxMessageBytes: 4 * 1024 * 1024,
  maxWaitingMessages: 16,
  maxConcurrentCalls: 10_000,
  timeoutMs: 30_000,
  yields: true,
  apart: true,
  counts: true,
  status: 0,
};

/** @throws TypeError naming the option that is not legal. */
export function settleWire(protocol: string, options: WireOptions): WireSettings {
  const settings = { ...defaults, ...options, protocol };
  checkPositive(protocol, pick(settings, ["maxMessageBytes", "maxWaitingMessages", "maxConcurrentCalls", "timeoutMs"]));
  return settings;
}
