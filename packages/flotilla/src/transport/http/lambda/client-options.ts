import { checkPositive } from "../../../errors/check-positive.ts";
import { settleWire, type WireSettings } from "../../../wire/options.ts";

/** What is asked of the platform, as `InvokeCommand` of `@aws-sdk/client-lambda` takes it. */
export interface InvokeInput {
  /** `calculator`, or with an alias or version `calculator:live`. */
  readonly FunctionName: string;
  /** JSON, an {@link InvokeEvent}. */
  readonly Payload: Uint8Array;
}

/** What the platform answers, as `InvokeCommand` has it. */
export interface InvokeOutput {
  /** JSON: what the function has answered, or what it failed with. */
  readonly Payload?: Uint8Array | undefined;
  /** There when the function failed. */
  readonly FunctionError?: string | undefined;
}

/**
 * Invokes a function and waits for what it answers; rejects when the platform does not get that far.
 *
 * @param options - `abortSignal` ends the waiting; the function goes on.
 */
export type Invoke = (input: InvokeInput, options: { readonly abortSignal: AbortSignal }) => Promise<InvokeOutput>;

/** Options of {@link lambdaClient}. */
export interface LambdaClientOptions {
  /** How functions are invoked: by the client of your choice, which has the region and the credentials. */
  readonly invoke: Invoke;
  /** Largest payload either way, bytes. Default 6291556, the platform's own limit. */
  readonly maxPayloadBytes?: number;
  /** Calls in flight to one function beyond which further ones are refused as `unavailable`. Default 10000. */
  readonly maxConcurrentCalls?: number;
}

/** Options with every default filled in. */
export interface LambdaClientSettings {
  readonly invoke: Invoke;
  readonly wire: WireSettings;
}

/** @throws TypeError naming the option that is not legal. */
export function settleLambdaClient(options: LambdaClientOptions): LambdaClientSettings {
  const { invoke, maxPayloadBytes = 6_291_556, maxConcurrentCalls } = options;
  if (typeof invoke !== "function") {
    const example = "(input, options) => aws.send(new InvokeCommand(input), options)";
    throw new TypeError(`lambdaClient: invoke must be a function such as ${example}`);
  }
  checkPositive("lambdaClient", { maxPayloadBytes });
  const limits = maxConcurrentCalls === undefined ? {} : { maxConcurrentCalls };
  return { invoke, wire: settleWire("lambdaClient", { format: "json", maxMessageBytes: maxPayloadBytes, ...limits }) };
}
