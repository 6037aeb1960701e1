import type { Dispatcher, Pool } from "undici";
import type { Context } from "../../context/context.ts";
import { afterFunc } from "../../context/with.ts";
import { ServiceError } from "../../errors/service-error.ts";
import type { MetadataRecord } from "../../metadata/metadata.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import { connectionError } from "./client-errors.ts";
import type { OpenAnswer, OpenStream } from "./client-stream.ts";

/** Streams over HTTP/1.1. */
export function undiciStream(pool: Pool, address: string): OpenStream {
  return (ctx, path, headers, body) =>
    new Promise((resolve, reject) => {
      const call = new UndiciStream(ctx, address, resolve, reject);
      pool.dispatch({ method: "POST", path, headers: headers as string[], body: call.guard(body) as never }, call);
    });
}

class UndiciStream implements Dispatcher.DispatchHandler {
  readonly #ctx: Context;
  readonly #address: string;
  readonly #resolve: (answer: OpenAnswer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #stop: () => boolean;
  readonly #queue: ChunkQueue;
  #controller: Dispatcher.DispatchController | undefined;
  /** Why the request body could not go on: the caller's own error, more telling than the broken connection it causes. */
  #bodyError: unknown;

  constructor(ctx: Context, address: string, resolve: (answer: OpenAnswer) => void, reject: (error: unknown) => void) {
    this.#ctx = ctx;
    this.#address = address;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#queue = new ChunkQueue({
      pause: () => this.#controller?.pause(),
      resume: () => this.#controller?.resume(),
      cancel: () => this.#abandon(new ServiceError("canceled", "the response was not read to its end")),
    });
    this.#stop = afterFunc(ctx, () => this.#abandon(ctx.err!));
  }

  async *guard(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* body;
    } catch (error) {
      this.#bodyError = error;
      throw error;
    }
  }

  #abandon(error: ServiceError): void {
    this.#fail(error);
    this.#controller?.abort(error);
  }

  #fail(error: unknown): void {
    this.#stop();
    this.#reject(error);
    this.#queue.fail(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ctx.err !== undefined) controller.abort(this.#ctx.err);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: MetadataRecord): void {
    this.#resolve({ status, headers, body: this.#queue });
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#queue.push(chunk);
  }

  onResponseEnd(): void {
    this.#stop();
    this.#queue.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    // The deadline may have passed without its timer having run yet: then that is what the call has ended with.
    const lost = this.#ctx.err ?? connectionError(this.#address, error, this.#controller === undefined);
    this.#fail(this.#bodyError ?? lost);
  }
}
