import { ServiceError } from "../../errors/service-error.ts";
import { expand } from "./codec.ts";
import { GrpcServerCall } from "./server-call.ts";

/** A call of a unary method: its message is read, the endpoint called once, the answer written at once. */
export class UnaryCall extends GrpcServerCall {
  private message: Buffer | undefined = undefined;
  private compressed = false;

  protected take(chunk: Buffer): void {
    const { reader } = this;
    reader.push(chunk);
    try {
      if (this.message === undefined) {
        this.message = reader.next();
        this.compressed = reader.compressed;
      }
      if (this.message !== undefined && reader.size > 0) throw notOne(this.form.method.info.procedure, "more");
    } catch (error) {
      this.fail(error);
    }
  }

  receivedAll(): void {
    if (this.answered) return;
    const { message } = this;
    if (message === undefined) {
      try {
        this.reader.finish();
      } catch (error) {
        return this.fail(error);
      }
      return this.fail(notOne(this.form.method.info.procedure, "none"));
    }
    this.message = undefined;
    if (!this.compressed) return this.invoke(message);
    expand(this.record["grpc-encoding"], message, this.state.settings.maxMessageBytes, this.reader.malformed).then(
      (plain) => this.invoke(plain),
      (error: unknown) => this.fail(error),
    );
  }

  private invoke(message: Buffer): void {
    if (this.answered) return;
    let pending: Promise<unknown>;
    try {
      pending = this.form.method.endpoint(this.ctx, this.form.input.decode(message));
    } catch (error) {
      return this.fail(error);
    }
    pending.then(
      (response) => this.answer(response),
      (error: unknown) => this.fail(error),
    );
  }

  protected ended(): void {
    this.message = undefined;
  }
}

/** Connect and gRPC agree that a method's kind is part of its implementation. */
export function notOne(procedure: string, got: "none" | "more"): ServiceError {
  return new ServiceError("unimplemented", `${procedure} takes exactly one request message, got ${got}`);
}
