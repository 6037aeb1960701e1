import type { DescService, MessageInitShape } from "@bufbuild/protobuf";
import {
  Echo,
  type SayRequest,
  type SayRequestSchema,
  type SayResponse,
  type SayResponseSchema,
} from "../../../test/gen/test/v1/echo_pb.ts";
import type { Context } from "../../context/context.ts";
import type { Client, Implementation, ReplyOf, RequestOf } from "../contract.ts";
import { fromProtobuf } from "./from-protobuf.ts";

type IsAny<T> = 0 extends 1 & T ? true : false;
type Equal<A, B> =
  IsAny<A> extends IsAny<B>
    ? (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2
      ? true
      : false
    : false;
const yes = <T extends true>(_: T | undefined = undefined): void => {};
declare const ctx: Context;

const EchoContract = fromProtobuf(Echo, {
  methods: {
    say: {
      timeoutMs: 500,
      rest: "GET /say/{sentence}",
      failed: (response) => (response.serial > 1n ? "high" : undefined),
    },
    count: { timeoutMs: 5_000 },
  },
});
type C = Client<typeof EchoContract>;
type I = Implementation<typeof EchoContract>;

yes<Equal<keyof C, "say" | "count" | "sum" | "chat">>();
yes<Equal<Parameters<C["say"]>[1], MessageInitShape<typeof SayRequestSchema>>>();
yes<Equal<Parameters<I["say"]>[1], SayRequest>>();
yes<Equal<Awaited<ReturnType<C["say"]>>, SayResponse>>();
yes<Equal<Awaited<ReturnType<I["say"]>>, MessageInitShape<typeof SayResponseSchema>>>();
yes<Equal<RequestOf<typeof EchoContract, "say">, SayRequest>>();
yes<Equal<ReplyOf<typeof EchoContract, "say">, MessageInitShape<typeof SayResponseSchema>>>();

export class EchoService implements Implementation<typeof EchoContract> {
  async say(_ctx: Context, { sentence }: SayRequest) {
    return { sentence, serial: 1n };
  }
  async *count() {
    yield { number: 1 };
  }
  async sum(_ctx: Context, requests: AsyncIterable<{ number: number }>) {
    let sum = 0;
    for await (const { number } of requests) sum += number;
    return { sum: BigInt(sum) };
  }
  async *chat(_ctx: Context, requests: AsyncIterable<{ sentence: string }>) {
    for await (const { sentence } of requests) yield { sentence };
  }
}

declare const client: C;
export async function calls(): Promise<void> {
  const { serial, digest, sentAt } = await client.say(ctx, { sentence: "hello" });
  yes<Equal<typeof serial, bigint>>();
  yes<Equal<(typeof digest)["byteLength"], number>>();
  yes<Equal<IsAny<typeof sentAt>, false>>();
  for await (const { number } of client.count(ctx, { to: 3 })) yes<Equal<typeof number, number>>();
  // @ts-expect-error: sentence is a string
  await client.say(ctx, { sentence: 1 });
  // @ts-expect-error: a bigint, not a number
  const wrong: number = (await client.say(ctx, {})).serial;
  void wrong;
}

export const wrong: Implementation<typeof EchoContract> = {
  ...new EchoService(),
  ...(null as unknown as I),
  // @ts-expect-error: serial is a bigint
  say: () => ({ serial: "1" }),
};

// @ts-expect-error: no such method
fromProtobuf(Echo, { methods: { shout: {} } });
// @ts-expect-error: streams have no REST route
fromProtobuf(Echo, { methods: { count: { rest: "GET /count" } } });

// A descriptor that is only known at run time.
declare const unknownService: DescService;
const Dynamic = fromProtobuf(unknownService);
yes<Equal<IsAny<Client<typeof Dynamic>[string]>, false>>();
