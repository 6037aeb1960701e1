import type { SpanData } from "../model.ts";

/** What a sink may note about a trace while it runs in this process. It hangs on the local root, so that it goes when that goes. */
export interface LocalTrace {
  /** Spans that wait for a decision; undefined when none do. For one sink of a chain only: `keep`. */
  held: FinishedSpan[] | undefined;
  /** What was decided about the trace. */
  verdict: "open" | "kept" | "dropped";
}

/** A span that has ended, and where it belongs in this process. */
export interface FinishedSpan extends SpanData {
  /** The first span that the trace had here, its parent being remote or none. The span itself when it is that. */
  readonly localRoot: FinishedSpan & LocalTrace;
}

/** Where spans go when they end. Nothing here may throw or take long: it runs inside the request. */
export interface SpanSink {
  /** A sampled span has ended. It does not change any more. */
  end(span: FinishedSpan): void;
  /** Hands on what is held back; resolves when it has left. */
  flush(): Promise<void>;
  /**
   * Flushes and releases what it holds. Spans that end later are dropped.
   *
   * @param timeoutMs - what it has not got rid of by then is dropped, milliseconds. Default: as the sink likes.
   */
  close(timeoutMs?: number): Promise<void>;
}

/** Gives every span to several sinks, in order. */
export function tee(...sinks: readonly SpanSink[]): SpanSink {
  return {
    end(span) {
      for (const sink of sinks) sink.end(span);
    },
    async flush() {
      await Promise.all(sinks.map((sink) => sink.flush()));
    },
    async close(timeoutMs) {
      await Promise.all(sinks.map((sink) => sink.close(timeoutMs)));
    },
  };
}
