import type { MethodInfo } from "flotilla/endpoint";

/** What is counted of a method for `$SRV.STATS`. */
export class MethodCount {
  readonly info: MethodInfo;
  readonly subject: string;
  requests = 0;
  errors = 0;
  lastError = "";
  processingMs = 0;

  constructor(info: MethodInfo, subject: string) {
    this.info = info;
    this.subject = subject;
  }

  /** @param error - as the Connect protocol writes it; undefined for a success. */
  ended(durationMs: number, error: string | undefined): void {
    this.requests++;
    this.processingMs += durationMs;
    if (error === undefined) return;
    this.errors++;
    const { code, message = "" } = JSON.parse(error) as { code: string; message?: string };
    this.lastError = `${code}: ${message.slice(0, 256)}`;
  }
}
