import type { Dispatcher, Pool } from "undici";
import type { Timer } from "../../clock/clock.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc } from "../../context/with.ts";
import { ServiceError } from "../../errors/service-error.ts";
import type { MetadataRecord } from "../../metadata/metadata.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import { connectionError } from "./client-errors.ts";
import { DRAIN_BYTES, DRAIN_MS, type OpenAnswer, type OpenStream, type SentBody } from "./client-stream.ts";
import type { Http1Peer } from "./client-unary.ts";
import { isGoing } from "./going.ts";

/** Streams over HTTP/1.1. */
export function undiciStream(pool: Pool, peer: Http1Peer): OpenStream {
  return (ctx, path, headers, body) =>
    new Promise((resolve, reject) => {
      const call = new UndiciStream(ctx, peer, body, resolve, reject);
      pool.dispatch({ method: "POST", path, headers: headers as string[], body: call.guard() as never }, call);
    });
}

class UndiciStream implements Dispatcher.DispatchHandler, OpenAnswer {
  status = 0;
  headers: MetadataRecord = {};
  readonly body: ChunkQueue;
  readonly #ctx: Context;
  readonly #peer: Http1Peer;
  readonly #sent: SentBody;
  readonly #resolve: (answer: OpenAnswer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #stop: () => boolean;
  #ended = false;
  /** Since the answer was released. */
  #drain: { readonly timer: Timer; bytes: number } | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  /** Why the request body could not go on: the caller's own error, more telling than the broken connection it causes. */
  #bodyError: unknown;

  constructor(
    ctx: Context,
    peer: Http1Peer,
    sent: SentBody,
    resolve: (answer: OpenAnswer) => void,
    reject: (error: unknown) => void,
  ) {
    this.#ctx = ctx;
    this.#peer = peer;
    this.#sent = sent;
    this.#resolve = resolve;
    this.#reject = reject;
    this.body = new ChunkQueue({
      pause: () => this.#controller?.pause(),
      resume: () => this.#controller?.resume(),
      cancel: () => this.cancel(),
    });
    this.#stop = afterFunc(ctx, () => this.#abandon(ctx.err!));
  }

  async *guard(): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#sent;
    } catch (error) {
      this.#bodyError = error;
      throw error;
    }
  }

  release(): void {
    this.#stop();
    this.#sent.leave();
    this.body.end();
    if (this.#ended) return;
    const tooLong = (): void => this.#breakOff();
    this.#drain = { timer: this.#ctx.clock.schedule(DRAIN_MS, tooLong), bytes: 0 };
    this.#drain.timer.unref();
    if (this.#controller!.paused) this.#controller!.resume();
  }

  cancel(): void {
    if (!this.#ended && this.#drain === undefined) this.#abandon(notRead());
  }

  #breakOff(): void {
    this.#controller?.abort(notRead());
  }

  #abandon(error: ServiceError): void {
    this.#fail(error);
    this.#controller?.abort(error);
  }

  #fail(error: unknown): void {
    this.#over();
    this.#reject(error);
    this.body.fail(error);
  }

  #over(): void {
    this.#ended = true;
    this.#stop();
    this.#drain?.timer.cancel();
    this.#sent.leave();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ctx.err !== undefined) controller.abort(this.#ctx.err);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: MetadataRecord): void {
    this.#peer.going = isGoing(headers);
    this.status = status;
    this.headers = headers;
    this.#resolve(this);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#drain === undefined) this.body.push(chunk);
    else if ((this.#drain.bytes += chunk.byteLength) > DRAIN_BYTES) this.#breakOff();
  }

  onResponseEnd(): void {
    this.#over();
    this.body.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    // The deadline may have passed without its timer having run yet: then that is what the call has ended with.
    const lost = this.#ctx.err ?? connectionError(this.#peer.address, error, this.#controller === undefined);
    this.#fail(this.#bodyError ?? lost);
  }
}

function notRead(): ServiceError {
  return new ServiceError("canceled", "the response was not read to its end");
}
