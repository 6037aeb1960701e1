import { ErrorInfoSchema } from "../../../../test/gen/google/rpc/error_details_pb.ts";
import {
  type ChatRequest,
  type CountRequest,
  Echo,
  type SayRequest,
  type SumRequest,
} from "../../../../test/gen/test/v1/echo_pb.ts";
import type { Context } from "../../../context/context.ts";
import type { Implementation } from "../../../contract/contract.ts";
import { protobufDetail } from "../../../contract/protobuf/detail.ts";
import { fromProtobuf } from "../../../contract/protobuf/from-protobuf.ts";
import type { Code } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { type ServerCall, serverCall } from "../../../metadata/call.ts";
import { done } from "./freight.ts";

/** The protobuf service that interoperability tests speak. */
export const EchoContract = fromProtobuf(Echo);

/** A number that JavaScript's own cannot hold. */
export const SERIAL = 2n ** 60n + 1n;

/** What {@link EchoService} fails with when it is told to. */
function asked(code: string): ServiceError {
  return new ServiceError(code as Code, `asked for ${code}`, {
    details: [protobufDetail(ErrorInfoSchema, { reason: "ASKED", domain: "echo.example", metadata: { code } })],
    metadata: { "x-reason": "asked" },
  });
}

/**
 * {@link Echo} as a Flotilla service. Every answer repeats header `x-ask` as header `x-reply` and trailer `x-after`, and has
 * header `x-many` twice. It remembers its last call, and whether that has been left.
 */
export class EchoService implements Implementation<typeof EchoContract> {
  /** Of the last call. */
  ctx: Context | undefined;
  call: ServerCall | undefined;
  /** Streams that were left, by their end or before it. */
  left = 0;
  readonly #arrived: (() => void)[] = [];

  /** Resolves at the next call. */
  arrival(): Promise<void> {
    return new Promise((resolve) => void this.#arrived.push(resolve));
  }

  async say(ctx: Context, { sentence, times, failWith, sentAt }: SayRequest) {
    this.#begin(ctx);
    if (failWith === "hang") {
      await done(ctx);
      throw ctx.err!;
    }
    if (failWith !== undefined) throw asked(failWith);
    return {
      sentence: sentence.repeat(times || 1),
      serial: SERIAL,
      digest: new Uint8Array([0, 255, 128]),
      ...(sentAt !== undefined && { sentAt }),
    };
  }

  async *count(ctx: Context, { to, failAfter }: CountRequest) {
    this.#begin(ctx);
    try {
      for (let number = 1; number <= to; number++) {
        if (failAfter > 0 && number > failAfter) throw asked("out_of_range");
        yield { number };
        if (number === 1 && failAfter < 0) await done(ctx);
      }
    } finally {
      this.left++;
    }
  }

  async sum(ctx: Context, requests: AsyncIterable<SumRequest>) {
    this.#begin(ctx);
    let sum = 0n;
    let count = 0;
    try {
      for await (const { number } of requests) {
        sum += BigInt(number);
        count++;
        if (number < 0) throw asked("invalid_argument");
      }
      return { sum, count };
    } finally {
      this.left++;
    }
  }

  async *chat(ctx: Context, requests: AsyncIterable<ChatRequest>) {
    this.#begin(ctx);
    let number = 0;
    try {
      for await (const { sentence } of requests) {
        if (sentence === "fail") throw asked("aborted");
        yield { sentence: sentence.toUpperCase(), number: ++number };
      }
    } finally {
      this.left++;
    }
  }

  #begin(ctx: Context): void {
    const call = serverCall(ctx)!;
    this.ctx = ctx;
    this.call = call;
    const ask = call.headers.get("x-ask");
    if (ask !== undefined) {
      call.responseHeaders.set("x-reply", ask);
      call.responseTrailers.set("x-after", ask);
    }
    call.responseHeaders.append("x-many", "one");
    call.responseHeaders.append("x-many", "two");
    for (const arrived of this.#arrived.splice(0)) arrived();
  }
}
