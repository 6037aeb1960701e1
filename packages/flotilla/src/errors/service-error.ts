import { type Code, isCode } from "./code.ts";

// Registered symbols: two copies of the package in one process still recognise each other's errors.
const brand = Symbol.for("flotilla.ServiceError");

/**
 * A typed addition to an error. `type` is a fully qualified name; `value` is a plain JSON object. The standard types of
 * google.rpc (see `details.ts`) cross every transport in the form foreign peers expect.
 */
export interface ErrorDetail<Value = unknown> {
  readonly type: string;
  readonly value: Value;
  /**
   * The detail as a protobuf message of `type`, in binary. Present on a detail made from a protobuf message (see
   * flotilla/protobuf) and on a received one whose type is not known here; it is what is sent, then.
   */
  readonly binary?: Uint8Array;
}

/** What is known about trying again. */
export interface RetryInfo {
  /** Wait at least so many milliseconds. Undefined: as the client's own backoff says. */
  readonly afterMs?: number;
  /** True: do not retry at all, whatever the code says; layered retries stop here. */
  readonly never?: boolean;
  /** True: the request provably never reached a handler, so even what is not idempotent may be tried again. Never sent. */
  readonly unprocessed?: boolean;
}

/** One attempt of a call that was tried more than once. */
export interface FailedAttempt {
  /** Address of the instance it went to; undefined when it got to none. */
  readonly address: string | undefined;
  readonly code: Code;
  readonly message: string;
  /** When it began, milliseconds since the call began. */
  readonly afterMs: number;
  readonly durationMs: number;
}

/** Options of {@link ServiceError}. */
export interface ServiceErrorOptions {
  /** What led to it. Kept in this process for the log, never sent. */
  cause?: unknown;
  /** Typed details, sent to the caller. Default none. */
  details?: readonly ErrorDetail[];
  /** What to say about retrying, sent to the caller. */
  retry?: RetryInfo;
  /** Every attempt there was. Kept in this process, never sent. */
  attempts?: readonly FailedAttempt[];
  /**
   * Response headers or trailers to send with the error, or those received with it. Names in lower case; values are visible ASCII, space and tab, anything else
   * goes into a name ending in `-bin` as base64. What cannot be a header is left out when the error is sent, and told to the error reporter.
   */
  metadata?: Readonly<Record<string, string>>;
}

/**
 * The one error of Flotilla. Its code, message, details and retry information are meant for the caller and cross every
 * transport; its cause and stack stay in the process. Anything else thrown by a handler leaves as `internal`.
 *
 * An expected business outcome is not an error: put it in the response type.
 */
export class ServiceError extends Error {
  override readonly name: string = "ServiceError";
  readonly code: Code;
  readonly details: readonly ErrorDetail[];
  readonly retry: RetryInfo | undefined;
  readonly metadata: Readonly<Record<string, string>> | undefined;
  /** Every attempt there was, the last included, where a call was tried more than once. Never sent. */
  declare readonly attempts?: readonly FailedAttempt[];

  constructor(code: Code, message: string, options?: ServiceErrorOptions) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    if (!isCode(code)) {
      const given = typeof code === "string" ? JSON.stringify(code) : `a value of type ${typeof code}`;
      throw new TypeError(`ServiceError: ${given} is not one of the sixteen codes`);
    }
    this.code = code;
    this.details = options?.details ?? [];
    this.retry = options?.retry;
    this.metadata = options?.metadata;
    if (options?.attempts !== undefined) this.attempts = options.attempts;
  }

  /** The reason for programs, such as `OUT_OF_STOCK`: that of its first ErrorInfo (`errorInfo`). Undefined without one. */
  get reason(): string | undefined {
    const info = this.details.find(({ type }) => type === "google.rpc.ErrorInfo");
    return (info?.value as { readonly reason?: string } | undefined)?.reason;
  }

  get [brand](): true {
    return true;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    try {
      if (this !== ServiceError) return Function.prototype[Symbol.hasInstance].call(this, value);
      return typeof value === "object" && value !== null && brand in value;
    } catch {
      // A proxy that throws when looked at is none of ours.
      return false;
    }
  }

  /**
   * The ServiceError that stands for whatever was thrown. A ServiceError is returned as it is; an `AbortError` becomes
   * `canceled`, a `TimeoutError` `deadline_exceeded`; all else becomes `internal` with a message that reveals nothing and
   * the original as its cause. Never throws, whatever it is given.
   */
  static from(thrown: unknown): ServiceError {
    try {
      if (thrown instanceof ServiceError && isCode(thrown.code)) return thrown;
      if (thrown instanceof Error) {
        const { name } = thrown;
        if (name === "AbortError") return new ServiceError("canceled", "the call was canceled", { cause: thrown });
        if (name === "TimeoutError") {
          return new ServiceError("deadline_exceeded", "the call took longer than it was given", { cause: thrown });
        }
      }
    } catch {
      // A getter or proxy that throws when looked at: kept as the cause like all else.
    }
    return new ServiceError("internal", "internal error", { cause: thrown });
  }
}
