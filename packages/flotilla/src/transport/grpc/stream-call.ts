import { Outgoing } from "../../endpoint/outgoing.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import type { MetadataRecord } from "../../metadata/metadata.ts";
import type { Carrier } from "./carrier.ts";
import { compressFrame } from "./codec.ts";
import { Incoming, onlyOne } from "./incoming.ts";
import type { Form } from "./methods.ts";
import { GrpcServerCall } from "./server-call.ts";
import type { GrpcState } from "./state.ts";
import { notOne } from "./unary-call.ts";

/** A call of a method that streams, in either direction or both. */
export class StreamCall extends GrpcServerCall {
  private readonly requests: Incoming;
  private responses: Outgoing<unknown> | undefined = undefined;
  private begun = false;

  constructor(
    state: GrpcState,
    form: Form,
    carrier: Carrier,
    headers: MetadataRecord,
    protocol: string,
    timeoutMs: number,
  ) {
    super(state, form, carrier, headers, protocol, timeoutMs);
    const encoding = (): unknown => headers["grpc-encoding"];
    const { maxMessageBytes } = state.settings;
    // What is left unread stays where it is: the client is held up, and told to stop with the end of the answer.
    this.requests = new Incoming(this.reader, form.input, encoding, maxMessageBytes, carrier.body, () =>
      carrier.body.pause(),
    );
  }

  /** Starts the handler; to be called once the call was started. */
  begin(): void {
    if (this.answered || this.begun) return;
    this.begun = true;
    this.run().catch((error: unknown) => this.fail(error));
  }

  protected take(chunk: Buffer): void {
    this.requests.push(chunk);
  }

  receivedAll(): void {
    this.requests.end();
  }

  protected ended(error: ServiceError | undefined): void {
    this.responses?.leave();
    // Whoever still reads learns why there is no more.
    if (error === undefined) void this.requests.return();
    else this.requests.fail(error);
  }

  private async run(): Promise<void> {
    const { info, endpoint } = this.form.method;
    const { kind, procedure } = info;
    const request =
      kind === "server_stream" ? await onlyOne(this.requests, (got) => notOne(procedure, got)) : this.requests;
    if (this.answered) return;
    const response = await endpoint(this.ctx, request);
    if (kind === "client_stream") return this.answer(response);
    await this.sendAll(response as AsyncIterable<unknown>);
    this.finish();
  }

  private async sendAll(responses: AsyncIterable<unknown>): Promise<void> {
    const { output } = this.form;
    const { compressMinBytes } = this.state.settings;
    this.responses = new Outgoing(responses);
    for await (const response of this.responses) {
      if (this.answered) return;
      let frame = output.frame(response);
      if (compressMinBytes !== false && this.compresses(frame)) {
        frame = await compressFrame(frame);
        if (this.answered) return;
      }
      if (!this.write(frame)) {
        await this.carrier.drained();
        if (this.answered) return;
      }
    }
  }
}
