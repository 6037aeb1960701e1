import type { Context } from "../../context/context.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { ClientCall } from "./client-call.ts";
import type { ClientMethod } from "./client-method.ts";
import { compressFrame, expand } from "./codec.ts";
import type { GrpcPeer } from "./peer.ts";

/** A call with one message each way. */
export class UnaryClientCall extends ClientCall {
  readonly answer: Promise<unknown>;
  private resolve!: (message: unknown) => void;
  private reject!: (error: unknown) => void;
  private frame!: Buffer;
  private message: Buffer | undefined = undefined;
  private compressed = false;
  private tooMany = false;
  private outcome: { readonly error: ServiceError | undefined } | undefined = undefined;
  private repeated = false;

  constructor(ctx: Context, method: ClientMethod, peer: GrpcPeer) {
    super(ctx, method, peer);
    this.answer = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** @throws ServiceError when the call cannot begin. */
  start(request: unknown): void {
    const frame = this.method.input.frame(request);
    if (!this.compresses(frame)) return this.send(frame);
    compressFrame(frame).then(
      (packed) => this.trySend(packed),
      (error: unknown) => this.reject(error),
    );
  }

  private trySend(frame: Buffer): void {
    try {
      this.send(frame);
    } catch (error) {
      this.settle();
      this.reject(error);
    }
  }

  private send(frame: Buffer): void {
    this.frame = frame;
    this.open();
    this.stream.end(frame);
  }

  protected opened(): void {}

  protected received(chunk: Buffer): void {
    if (this.over) return;
    const { reader } = this;
    reader.push(chunk);
    try {
      if (this.message === undefined) {
        this.message = reader.next();
        this.compressed = reader.compressed;
      }
      if (this.message === undefined || reader.size === 0) return;
      // Nothing more is wanted, and there may be no end of it.
      this.tooMany = true;
      throw this.notOne();
    } catch (error) {
      this.abandon(error);
    }
  }

  protected ended(error: ServiceError | undefined): void {
    this.outcome = { error };
    // Of a message that is not whole yet, the rest was received before the trailers but not handed over.
    if (error !== undefined || this.message !== undefined) this.finish(error);
  }

  private finish(failed: ServiceError | undefined): void {
    this.done();
    const { message } = this;
    if (failed !== undefined) return this.reject(failed);
    if (message === undefined || this.tooMany) return this.reject(this.notOne());
    if (!this.compressed) return this.read(message);
    expand(this.responseHeaders!["grpc-encoding"], message, this.peer.settings.maxMessageBytes, "internal").then(
      (plain) => this.read(plain),
      (failure: unknown) => this.reject(failure),
    );
  }

  private notOne(): ServiceError {
    const got = this.message === undefined ? "no message" : "more than one message";
    return new ServiceError("unimplemented", `${this.method.info.procedure} was answered with ${got}`);
  }

  private read(message: Buffer): void {
    let response: unknown;
    try {
      response = this.method.output.decode(message);
    } catch (error) {
      return this.reject(error);
    }
    this.resolve(response);
  }

  protected conclude(): void {
    if (!this.over && this.outcome !== undefined) this.finish(this.outcome.error);
  }

  protected failed(error: unknown): void {
    // The server says that it did not take the call in (GOAWAY, REFUSED_STREAM): once more, on a connection it has not given up.
    if (!this.repeated && isUnprocessed(error, this.stream.id)) {
      this.repeated = true;
      this.over = false;
      return this.trySend(this.frame);
    }
    this.settle();
    this.reject(error);
  }
}

/** Whether the server itself said that a call never reached it. */
export function isUnprocessed(error: unknown, id: number | undefined): boolean {
  return id !== undefined && error instanceof ServiceError && error.retry?.unprocessed === true;
}
