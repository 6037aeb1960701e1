import { AsyncLocalStorage } from "node:async_hooks";
import type { CancelContext, Context } from "../context/context.ts";
import { withCancel } from "../context/with.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { observersOf } from "../endpoint/observer.ts";
import type { BoundMethod, Service } from "../endpoint/service.ts";
import type { Listening } from "../endpoint/transport.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { MetadataRecord } from "../metadata/metadata.ts";
import { type ParsedMessage, PROTO_TYPE, type Wire } from "./message.ts";
import type { WireSettings } from "./options.ts";
import type { Pipe } from "./pipe.ts";
import { type Acceptor, type Caller, ServedCall, type ServerState } from "./served-call.ts";

/** A turn of the event loop is given after so many calls, so that an endless loop of calls cannot starve timers. */
const CALLS_A_TURN = 1024;

/** When a call begins: its caller has it in hand by then. */
const soon = Promise.resolve();

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function begin(call: ServedCall, request: Wire | ParsedMessage | Pipe<Wire>, turn: Promise<void>): void {
  call.begin(request, turn);
}

/**
 * Serves calls that come as messages: what stands between a transport's frames and the endpoints. A transport hands each call to
 * `accept`, and gets what the call says through a {@link Caller}.
 */
export class Serving implements Listening, Acceptor {
  readonly protocol: string;
  readonly address: string;
  readonly #state: ServerState;
  readonly #scope: CancelContext;
  readonly #methods = new Map<string, BoundMethod>();
  /** The one called last: mostly the next one, too. */
  #last: BoundMethod | undefined;
  readonly #onRefuse: () => void;
  /** Runs something where `listen` was called. */
  readonly #apart = AsyncLocalStorage.snapshot();
  #calls = 0;
  #drained: Promise<void> | undefined;

  /**
   * @param address - where clients reach it, for the registry and for errors.
   * @param root - parent of the contexts of all calls.
   * @param onRefuse - called once, when no more calls are to be accepted.
   * @throws TypeError when a method is served twice.
   */
  constructor(
    address: string,
    settings: WireSettings,
    services: readonly Service[],
    root: Context,
    onRefuse: () => void,
  ) {
    this.protocol = settings.protocol;
    this.address = address;
    this.#onRefuse = onRefuse;
    this.#scope = withCancel(root);
    const observers = observersOf(services, root);
    this.#state = {
      settings,
      root: this.#scope,
      observers: observers.size === 0 ? undefined : observers,
      inFlight: 0,
      onIdle: undefined,
    };
    for (const { methods } of services) {
      for (const method of methods) {
        const { procedure } = method.info;
        if (this.#methods.has(procedure)) throw new TypeError(`${settings.protocol}: ${procedure} is served twice`);
        this.#methods.set(procedure, method);
      }
    }
  }

  get inFlight(): number {
    return this.#state.inFlight;
  }

  /** The method of this name, `package.Service/method`; undefined when it is not served. */
  find(procedure: string): MethodInfo | undefined {
    return this.#methods.get(procedure)?.info;
  }

  accept(
    called: MethodInfo,
    headers: MetadataRecord,
    request: Wire | ParsedMessage | Pipe<Wire>,
    caller: Caller,
    peer = this.protocol,
  ): ServedCall {
    const { maxConcurrentCalls } = this.#state.settings;
    if (this.#state.inFlight >= maxConcurrentCalls) {
      throw new ServiceError("unavailable", `the server is at its limit of ${maxConcurrentCalls} concurrent calls`);
    }
    const method = called === this.#last?.info ? this.#last : this.#methods.get(called.procedure);
    if (method === undefined || method.info.kind !== called.kind) {
      throw new ServiceError("unimplemented", `${called.procedure} is not served at ${this.address} as ${called.kind}`);
    }
    if (headers["content-type"] === PROTO_TYPE && method.info.input.binary === undefined) {
      throw new ServiceError("unimplemented", `${called.procedure} has no protobuf form at ${this.address}`);
    }
    this.#last = method;
    const call = new ServedCall(this.#state, method, headers, caller, peer);
    const yields = this.#state.settings.yields && ++this.#calls % CALLS_A_TURN === 0;
    if (this.#state.settings.apart) this.#apart(begin, call, request, yields ? nextTurn() : soon);
    else begin(call, request, soon);
    return call;
  }

  /** There is no connection here to be given up: clients go elsewhere when discovery tells them. */
  discourage(): void {}

  drain(): Promise<void> {
    if (this.#drained === undefined) {
      this.#onRefuse();
      const state = this.#state;
      this.#drained = new Promise((resolve) => {
        if (state.inFlight === 0) resolve();
        else state.onIdle = resolve;
      });
    }
    return this.#drained;
  }

  async close(cause?: unknown): Promise<void> {
    const drained = this.drain();
    this.#scope.cancel(cause);
    await drained;
  }
}
