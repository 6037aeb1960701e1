import type { Formatter } from "./formats.ts";
import type { LineWriter } from "./line-writer.ts";
import { type LineFields, type LogSink, recordMaker } from "./log-sink.ts";

/** Where whole lines go; `LineWriter` is one. */
export type LineTarget = Pick<LineWriter, "write" | "flush" | "flushSync" | "close">;

/** Hands finished lines on: to the descriptor, in the format that was chosen, and to a sink. */
export class LogOutput {
  /** Flags of the trace that the next line belongs to, which are not in the line. */
  traceFlags = 0;
  readonly #target: LineTarget;
  readonly #format: Formatter;
  readonly #sink: LogSink | undefined;
  readonly #record = recordMaker();
  /** Whether a line is to be read again before it goes. */
  readonly #reads: boolean;

  constructor(target: LineTarget, format: Formatter, sink: LogSink | undefined) {
    this.#target = target;
    this.#format = format;
    this.#sink = sink;
    this.#reads = format !== undefined || sink !== undefined;
  }

  /** @param line - JSON with a newline. */
  write(line: string): void {
    if (this.#reads) this.#read(line);
    else this.#target.write(line);
  }

  flush(): Promise<void> {
    return this.#target.flush();
  }

  flushSync(): void {
    this.#target.flushSync();
  }

  close(): Promise<void> {
    return this.#target.close();
  }

  /** A line that no sink is told of: it is about the writing itself. */
  format(line: string): string {
    return this.#format === undefined ? line : this.#format(JSON.parse(line) as LineFields);
  }

  #read(line: string): void {
    const fields = JSON.parse(line) as LineFields;
    this.#target.write(this.#format === undefined ? line : this.#format(fields));
    this.#sink?.emit(this.#record(fields, this.traceFlags));
  }
}
