import type { Endpoint } from "../../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../../endpoint/method-info.ts";
import type { Connection, Connector } from "../../../endpoint/transport.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import type { MetadataRecord } from "../../../metadata/metadata.ts";
import { Calling, type Way } from "../../../wire/calling.ts";
import type { Wire } from "../../../wire/message.ts";
import type { Pipe } from "../../../wire/pipe.ts";
import type { Accepted, Acceptor, Caller } from "../../../wire/served-call.ts";
import { type LambdaClientOptions, type LambdaClientSettings, settleLambdaClient } from "./client-options.ts";
import { Invocation } from "./invocation.ts";

/**
 * Calls services that are functions of AWS Lambda ({@link lambda}) by invoking them, without API Gateway or URL. Unary methods only. An
 * address names the function, and where there is one the alias or version: `lambda://calculator`, `lambda://calculator/live`.
 *
 * ```ts
 * const aws = new LambdaClient({ maxAttempts: 1 });
 * const calc = client(Calculator, {
 *   discover: ["lambda://calculator"],
 *   transport: lambdaClient({ invoke: (input, options) => aws.send(new InvokeCommand(input), options) }),
 * });
 * ```
 *
 * Deadline, metadata, trace context, baggage and priority travel with the call, and errors come back as they were. Whoever gives up no longer
 * waits, but the function goes on: the platform has no way to tell it.
 *
 * Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function lambdaClient(options: LambdaClientOptions): Connector {
  const settings = settleLambdaClient(options);
  return {
    protocol: "lambda",
    connect: (address) => new FunctionConnection(address, settings),
  };
}

/** A function, and under which alias or version. */
const ADDRESS = /^lambda:\/\/([\w-]+)(?:\/([\w$-]+))?\/?$/;

class FunctionConnection implements Connection, Way, Acceptor {
  readonly #address: string;
  readonly #function: string;
  readonly #settings: LambdaClientSettings;
  readonly #calling: Calling;
  #inFlight = 0;

  constructor(address: string, settings: LambdaClientSettings) {
    const [, name, qualifier] = ADDRESS.exec(address) ?? [];
    if (name === undefined) {
      throw new TypeError(
        `lambdaClient: an address must look like lambda://name or lambda://name/alias, got ${address}`,
      );
    }
    this.#address = address;
    this.#function = qualifier === undefined ? name : `${name}:${qualifier}`;
    this.#settings = settings;
    this.#calling = new Calling(address, settings.wire, this);
  }

  endpoint(method: MethodInfo): Endpoint {
    return method.kind === "unary" ? this.#calling.endpoint(method) : streamRefused(method);
  }

  acceptor(): Acceptor {
    return this;
  }

  /** @throws ServiceError when it is not sent. */
  accept(method: MethodInfo, headers: MetadataRecord, request: Wire | Pipe<Wire>, caller: Caller): Accepted {
    const { invoke, wire } = this.#settings;
    if (this.#inFlight >= wire.maxConcurrentCalls) {
      throw new ServiceError(
        "unavailable",
        `${this.#inFlight} calls are in flight to ${this.#address}: that is the limit`,
        {
          retry: { unprocessed: true },
        },
      );
    }
    const { "content-type": _, ...metadata } = headers;
    const start = `{"method":${JSON.stringify(method.procedure)},"metadata":${JSON.stringify(metadata)}`;
    const payload = Buffer.from(`${start},"input":${request as string}}`);
    if (payload.byteLength > wire.maxMessageBytes) {
      throw new ServiceError(
        "resource_exhausted",
        `the call comes to ${payload.byteLength} bytes, and a payload may have ${wire.maxMessageBytes}`,
      );
    }
    this.#inFlight++;
    const input = { FunctionName: this.#function, Payload: payload };
    return new Invocation(input, invoke, wire.maxMessageBytes, caller, () => this.#inFlight--);
  }

  drain(): Promise<void> {
    return this.#calling.drain();
  }

  close(): Promise<void> {
    return this.#calling.close();
  }
}

function streamRefused({ procedure }: MethodInfo): Endpoint {
  return async function invocationsCarryNoStreams() {
    throw new ServiceError(
      "unimplemented",
      `${procedure} streams, and only unary methods can be invoked: call it with httpClient at the function's URL`,
    );
  };
}
