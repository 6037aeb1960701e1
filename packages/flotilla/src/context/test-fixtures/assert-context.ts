import assert from "node:assert/strict";
import type { Context } from "../context.ts";

/** Every microtask queued so far, and those they queue, have run when it resolves. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function assertOpen(ctx: Context): void {
  assert.equal(ctx.err, undefined);
  assert.equal(ctx.cause, undefined);
  assert.equal(ctx.signal.aborted, false);
}

export function assertDone(ctx: Context, code: string, cause?: unknown): void {
  assert.equal(ctx.err?.code, code);
  assert.equal(ctx.cause, cause ?? ctx.err);
  assert.equal(ctx.signal.aborted, true);
  assert.equal(ctx.signal.reason, ctx.err);
}
