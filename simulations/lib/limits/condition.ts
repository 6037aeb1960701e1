import type { Distribution } from "flotilla/sim";

/** What the calls of one method do. */
export interface Work {
  /** Of all calls. */
  readonly share: number;
  /** Processor time a call, milliseconds. */
  readonly cpu?: Distribution;
  /** Time a call waits for something else, however many do, milliseconds. */
  readonly wait?: Distribution;
}

/** What a limit is tried on. */
export interface Condition {
  readonly name: string;
  readonly cores: number;
  /** One method or two. */
  readonly work: readonly Work[];
  /** Calls a second that load is told in: the most that can be served, where there is a most. */
  readonly perSecond: number;
  /** How long callers wait, milliseconds. */
  readonly timeoutMs: number;
}
