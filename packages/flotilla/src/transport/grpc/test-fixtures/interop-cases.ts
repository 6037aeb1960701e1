// The published interoperability cases of gRPC, by name, for any client:
// https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
import assert from "node:assert/strict";
import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type {
  SimpleRequestSchema,
  SimpleResponse,
  StreamingInputCallRequestSchema,
  StreamingOutputCallRequestSchema,
  StreamingOutputCallResponseSchema,
} from "../../../../test/gen/grpc/testing/test_pb.ts";

type SimpleRequest = MessageInitShape<typeof SimpleRequestSchema>;
type InputRequest = MessageInitShape<typeof StreamingInputCallRequestSchema>;
type OutputRequest = MessageInitShape<typeof StreamingOutputCallRequestSchema>;
type OutputResponse = MessageShape<typeof StreamingOutputCallResponseSchema>;

/** What goes with a call, and what came back beside it. */
export interface Beside {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Told of headers and trailers once the call is over. */
  readonly came?: (
    headers: (name: string) => string | undefined,
    trailers: (name: string) => string | undefined,
  ) => void;
}

/** A client of grpc.testing.TestService, of any make. Failures are {@link CallFailed}. */
export interface InteropClient {
  emptyCall(): Promise<unknown>;
  unaryCall(request: SimpleRequest, beside?: Beside): Promise<SimpleResponse>;
  streamingInputCall(
    requests: AsyncIterable<InputRequest>,
    beside?: Beside,
  ): Promise<{ aggregatedPayloadSize: number }>;
  streamingOutputCall(request: OutputRequest, beside?: Beside): AsyncIterable<OutputResponse>;
  fullDuplexCall(requests: AsyncIterable<OutputRequest>, beside?: Beside): AsyncIterable<OutputResponse>;
  unimplementedCall(): Promise<unknown>;
  unimplementedService(): Promise<unknown>;
}

/** A failure as the caller saw it: number and message of its status. */
export class CallFailed extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** How a client tells its failures. @param failed - makes of what it throws a {@link CallFailed}, if it is a status. */
export function telling(failed: (error: unknown) => unknown) {
  async function told<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw failed(error);
    }
  }
  async function* toldEach<T>(stream: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* stream;
    } catch (error) {
      throw failed(error);
    }
  }
  return { told, toldEach };
}

const zeros = (size: number): Uint8Array => new Uint8Array(size);
const INPUT_SIZES = [27_182, 8, 1828, 45_904];
const OUTPUT_SIZES = [31_415, 9, 2653, 58_979];
const SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
const INITIAL = "x-grpc-test-echo-initial";
const TRAILING = "x-grpc-test-echo-trailing-bin";

async function failure(work: Promise<unknown>): Promise<CallFailed> {
  const error = await work.then(
    () => assert.fail("the call did not fail"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof CallFailed, String(error));
  return error;
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** A stream whose next item goes out when it is asked for by `go`. */
function stepwise<T>(items: readonly T[]): { readonly stream: AsyncIterable<T>; go(): void } {
  let go = (): void => {};
  let ready = Promise.resolve();
  const next = (): void => {
    ready = new Promise((resolve) => {
      go = resolve;
    });
  };
  return {
    stream: (async function* () {
      for (const item of items) {
        await ready;
        next();
        yield item;
      }
      await ready;
    })(),
    go: () => go(),
  };
}

const outputs = (sizes: readonly number[]): { size: number }[] => sizes.map((size) => ({ size }));
const sizeOf = ({ payload }: OutputResponse): number => payload?.body.byteLength ?? -1;

export const interopCases: Readonly<Record<string, (client: InteropClient) => Promise<void>>> = {
  async empty_unary(client) {
    await client.emptyCall();
  },
  async large_unary(client) {
    const { payload } = await client.unaryCall({ responseSize: 314_159, payload: { body: zeros(271_828) } });
    assert.equal(payload?.body.byteLength, 314_159);
    assert.ok(payload.body.every((byte) => byte === 0));
  },
  async client_streaming(client) {
    const requests = (async function* () {
      for (const size of INPUT_SIZES) yield { payload: { body: zeros(size) } };
    })();
    assert.equal((await client.streamingInputCall(requests)).aggregatedPayloadSize, 74_922);
  },
  async server_streaming(client) {
    const responses = await all(client.streamingOutputCall({ responseParameters: outputs(OUTPUT_SIZES) }));
    assert.deepEqual(responses.map(sizeOf), OUTPUT_SIZES);
  },
  async ping_pong(client) {
    const requests = OUTPUT_SIZES.map((size, i) => {
      return { responseParameters: outputs([size]), payload: { body: zeros(INPUT_SIZES[i]!) } };
    });
    const steps = stepwise(requests);
    const sizes: number[] = [];
    for await (const response of client.fullDuplexCall(steps.stream)) {
      sizes.push(sizeOf(response));
      steps.go();
    }
    assert.deepEqual(sizes, OUTPUT_SIZES);
  },
  async empty_stream(client) {
    assert.deepEqual(await all(client.fullDuplexCall((async function* () {})())), []);
  },
  async custom_metadata(client) {
    const metadata = {
      [INITIAL]: "test_initial_metadata_value",
      [TRAILING]: Buffer.from([0xab, 0xab, 0xab]).toString("base64"),
    };
    let told = 0;
    const came: Beside["came"] = (headers, trailers) => {
      told++;
      assert.equal(headers(INITIAL), "test_initial_metadata_value");
      assert.equal(Buffer.from(trailers(TRAILING)!, "base64").toString("hex"), "ababab");
    };
    await client.unaryCall({ responseSize: 314_159, payload: { body: zeros(271_828) } }, { metadata, came });
    const request = { responseParameters: outputs([314_159]), payload: { body: zeros(271_828) } };
    const requests = (async function* () {
      yield request;
    })();
    assert.equal((await all(client.fullDuplexCall(requests, { metadata, came }))).length, 1);
    assert.equal(told, 2);
  },
  async status_code_and_message(client) {
    const responseStatus = { code: 2, message: "test status message" };
    const unary = await failure(client.unaryCall({ responseStatus }));
    assert.deepEqual([unary.status, unary.message], [2, "test status message"]);
    const requests = (async function* () {
      yield { responseStatus };
    })();
    const duplex = await failure(all(client.fullDuplexCall(requests)));
    assert.deepEqual([duplex.status, duplex.message], [2, "test status message"]);
  },
  async special_status_message(client) {
    const { status, message } = await failure(client.unaryCall({ responseStatus: { code: 2, message: SPECIAL } }));
    assert.deepEqual([status, message], [2, SPECIAL]);
  },
  async unimplemented_method(client) {
    assert.equal((await failure(client.unimplementedCall())).status, 12);
  },
  async unimplemented_service(client) {
    assert.equal((await failure(client.unimplementedService())).status, 12);
  },
  async cancel_after_begin(client) {
    const controller = new AbortController();
    const requests = (async function* () {
      setImmediate(() => controller.abort());
      await new Promise<void>((resolve) => controller.signal.addEventListener("abort", () => resolve()));
      yield* [];
    })();
    assert.equal((await failure(client.streamingInputCall(requests, { signal: controller.signal }))).status, 1);
  },
  async cancel_after_first_response(client) {
    const controller = new AbortController();
    const requests = (async function* () {
      yield { responseParameters: outputs([31_415]), payload: { body: zeros(27_182) } };
      await new Promise<void>((resolve) => controller.signal.addEventListener("abort", () => resolve()));
    })();
    const error = await failure(
      (async () => {
        for await (const response of client.fullDuplexCall(requests, { signal: controller.signal })) {
          assert.equal(sizeOf(response), 31_415);
          controller.abort();
        }
      })(),
    );
    assert.equal(error.status, 1);
  },
  async timeout_on_sleeping_server(client) {
    const over = new AbortController();
    const requests = (async function* () {
      yield { payload: { body: zeros(27_182) } };
      await new Promise<void>((resolve) => over.signal.addEventListener("abort", () => resolve()));
    })();
    const error = await failure(all(client.fullDuplexCall(requests, { timeoutMs: 30 })));
    over.abort();
    assert.equal(error.status, 4);
  },
};
