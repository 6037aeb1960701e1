import { drained } from "../../codec/drained.ts";
import type { Context } from "../../context/context.ts";
import { Outgoing } from "../../endpoint/outgoing.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { ClientCall } from "./client-call.ts";
import type { ClientMethod } from "./client-method.ts";
import { isUnprocessed } from "./client-unary.ts";
import { compressFrame } from "./codec.ts";
import { Incoming, onlyOne } from "./incoming.ts";
import type { GrpcPeer } from "./peer.ts";

/** A call that streams, in either direction or both. */
export class StreamClientCall extends ClientCall {
  /** Resolves with the head of the answer; rejects when the call failed before. */
  readonly begun: Promise<void>;
  readonly responses: Incoming;
  private resolve!: () => void;
  private reject!: (error: unknown) => void;
  private readonly single: boolean;
  private request: unknown;
  private requests: Outgoing<unknown> | undefined = undefined;
  private repeated = false;
  private outcome: { readonly error: ServiceError | undefined } | undefined = undefined;

  constructor(ctx: Context, method: ClientMethod, peer: GrpcPeer) {
    super(ctx, method, peer);
    this.single = method.info.kind === "server_stream";
    this.begun = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    const source = { pause: () => this.stream.pause(), resume: () => this.stream.resume() };
    const encoding = (): unknown => this.responseHeaders?.["grpc-encoding"];
    this.responses = new Incoming(this.reader, method.output, encoding, peer.settings.maxMessageBytes, source, () =>
      this.abandon(new ServiceError("canceled", "the response was not read to its end")),
    );
  }

  /** @throws ServiceError when the call cannot begin. */
  start(request: unknown): void {
    this.request = request;
    this.send();
  }

  private send(): void {
    if (!this.single) {
      this.openStream();
      void this.sendAll(this.request as AsyncIterable<unknown>);
      return;
    }
    const frame = this.method.input.frame(this.request);
    this.openStream();
    if (!this.compresses(frame)) this.stream.end(frame);
    else {
      compressFrame(frame).then(
        (packed) => {
          if (!this.stream.closed) this.stream.end(packed);
        },
        (error: unknown) => this.abandon(error),
      );
    }
  }

  private openStream(): void {
    this.open();
    this.stream.on("end", () => this.conclude());
  }

  /** Sends the caller's messages, as fast as the server takes them. Never rejects. */
  private async sendAll(messages: AsyncIterable<unknown>): Promise<void> {
    const { stream } = this;
    const { input } = this.method;
    const requests = (this.requests = new Outgoing(messages));
    try {
      for await (const message of requests) {
        let frame = input.frame(message);
        if (this.compresses(frame)) frame = await compressFrame(frame);
        // The server wants no more: leaving the loop ends the caller's generator. What were written now would be the end of what is still to be read, too.
        if (stream.destroyed || stream.closed || this.over) return;
        if (!stream.write(frame)) await drained(stream);
      }
      // Left by the end of the call, which must not look like theirs.
      if (!requests.left) stream.end();
    } catch (error) {
      // The caller's own iterator failed: that is the call's error, and the server must hear that the rest will not come.
      this.abandon(error);
    }
  }

  protected override settle(): void {
    super.settle();
    this.requests?.leave();
  }

  protected opened(): void {
    this.resolve();
  }

  protected received(chunk: Buffer): void {
    if (!this.over) this.responses.push(chunk);
  }

  protected ended(error: ServiceError | undefined): void {
    this.outcome = { error };
    if (error !== undefined && this.responseHeaders === undefined) this.reject(error);
    else this.resolve();
    // Messages that a slow reader has not come to are behind this.
    if (this.stream.readableEnded) this.conclude();
  }

  protected conclude(): void {
    if (this.over || this.outcome === undefined) return;
    this.done();
    this.responses.end(this.outcome.error);
  }

  protected failed(error: unknown): void {
    if (this.single && !this.repeated && this.responseHeaders === undefined && isUnprocessed(error, this.stream.id)) {
      this.repeated = true;
      this.over = false;
      try {
        return this.send();
      } catch (failure) {
        this.settle();
        this.reject(failure);
        return this.responses.fail(failure);
      }
    }
    this.settle();
    this.reject(error);
    this.responses.fail(error);
  }

  /** The one answer of a client stream. */
  async answer(): Promise<unknown> {
    await this.begun;
    const { procedure } = this.method.info;
    return onlyOne(this.responses, (got) => {
      const what = got === "none" ? "no message" : "more than one message";
      return new ServiceError("unimplemented", `${procedure} was answered with ${what}`);
    });
  }
}
