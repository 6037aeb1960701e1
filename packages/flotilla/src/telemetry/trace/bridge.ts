import { AsyncLocalStorage } from "node:async_hooks";
import { EventEmitter } from "node:events";
import {
  type ContextManagementToken,
  type ContextManager,
  type Context as OtelContext,
  propagation,
  ROOT_CONTEXT,
  trace,
} from "@opentelemetry/api";
import type { Context } from "../../context/context.ts";
import type { Middleware } from "../../endpoint/endpoint.ts";
import { baggage, parseBaggage, withBaggage } from "../../metadata/baggage.ts";
import { currentTrace } from "../../metadata/trace.ts";
import { currentSpan, withSpan } from "./current-span.ts";

/**
 * Carries the span and the baggage of a `Context` over into OpenTelemetry's active context, which libraries instrumented for OpenTelemetry look at.
 * It is OpenTelemetry's context manager as well: `context.setGlobalContextManager(bridge)`.
 */
export interface Bridge extends ContextManager {
  /** Runs a function, and all it starts, with the span and the baggage of `ctx` as OpenTelemetry's active ones. */
  run<T>(ctx: Context, fn: () => T): T;
  /** A child of `ctx` in OpenTelemetry's active span and with its active baggage, where there is any: the way back, in a library's callback. */
  adopt(ctx: Context): Context;
  /** Runs every call so, its stream included. Costs one `AsyncLocalStorage.run` a call, and one a message of a stream. */
  readonly middleware: Middleware;
}

/** Makes a bridge. Off by default: explicit contexts need none, and it costs what AsyncLocalStorage costs. */
export function bridge(): Bridge {
  return new AsyncLocalBridge();
}

const ADDERS = ["on", "addListener", "prependListener"] as const;
const ONCE_ADDERS = [
  ["once", "on"],
  ["prependOnceListener", "prependListener"],
] as const;

type Listener = (...args: unknown[]) => unknown;

class AsyncLocalBridge implements Bridge {
  readonly #storage = new AsyncLocalStorage<OtelContext>();
  readonly #bound = new WeakSet<EventEmitter>();

  active(): OtelContext {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    context: OtelContext,
    fn: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    const target = thisArg === undefined || thisArg === null ? fn : (fn.bind(thisArg) as F);
    return this.#storage.run(context, target, ...args);
  }

  bind<T>(context: OtelContext, target: T): T {
    if (target instanceof EventEmitter) this.#bindEmitter(context, target);
    else if (typeof target === "function") return this.#bindFunction(context, target as unknown as Listener) as T;
    return target;
  }

  attach(context: OtelContext): ContextManagementToken {
    const before = this.active();
    this.#storage.enterWith(context);
    let done = false;
    return {
      dispose: () => {
        if (!done) this.#storage.enterWith(before);
        done = true;
      },
    };
  }

  enable(): this {
    return this;
  }

  disable(): this {
    this.#storage.disable();
    return this;
  }

  run<T>(ctx: Context, fn: () => T): T {
    return this.#storage.run(this.#contextOf(ctx), fn);
  }

  adopt(ctx: Context): Context {
    const active = this.active();
    const span = trace.getSpan(active);
    const members = propagation.getBaggage(active)?.getAllEntries() ?? [];
    const within = span === undefined ? ctx : withSpan(ctx, span);
    if (members.length === 0) return within;
    // By way of a header: what W3C Baggage does not allow, or has no room for, could cross no hop anyway.
    const all = new Map(baggage(ctx));
    for (const [name, { value }] of members) if (!/[=,;]/.test(name)) all.set(name, value);
    const header = Array.from(all, ([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`).join(",");
    return withBaggage(within, Object.fromEntries(parseBaggage(header)));
  }

  readonly middleware: Middleware = (next, method) => {
    const streams = method.kind === "server_stream" || method.kind === "bidi_stream";
    return (ctx, request) => {
      const context = this.#contextOf(ctx);
      const response = this.#storage.run(context, next, ctx, request);
      return streams ? response.then((stream) => this.#bindStream(context, stream)) : response;
    };
  };

  #contextOf(ctx: Context): OtelContext {
    let context = this.active();
    if (currentTrace(ctx) !== undefined) context = trace.setSpan(context, currentSpan(ctx));
    const members = baggage(ctx);
    if (members.size === 0) return context;
    const entries = propagation.getBaggage(context)?.getAllEntries() ?? [];
    const all = {
      ...Object.fromEntries(entries),
      ...Object.fromEntries([...members].map(([name, value]) => [name, { value }])),
    };
    return propagation.setBaggage(context, propagation.createBaggage(all));
  }

  /** The body of a generator runs in the context of whoever asks for the next message. */
  #bindStream<T>(context: OtelContext, stream: T): T {
    const source = (stream as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    const run = <R>(fn: () => R): R => this.#storage.run(context, fn);
    const bound: AsyncIterableIterator<unknown> = {
      next: () => run(() => source.next()),
      return: (value) =>
        source.return === undefined ? Promise.resolve({ done: true, value }) : run(() => source.return!(value)),
      [Symbol.asyncIterator]: () => bound,
    };
    return bound as T;
  }

  #bindFunction(context: OtelContext, target: Listener): Listener {
    const storage = this.#storage;
    const bound = function (this: unknown, ...args: unknown[]): unknown {
      return storage.run(context, () => target.apply(this, args));
    };
    Object.defineProperty(bound, "length", { value: target.length, configurable: true });
    return bound;
  }

  /** Listeners added from now on run in the context. A wrapper tells its listener as Node's own do, so that it can be removed. */
  #bindEmitter(context: OtelContext, emitter: EventEmitter): void {
    if (this.#bound.has(emitter)) return;
    this.#bound.add(emitter);
    const wrap = (listener: Listener): Listener => Object.assign(this.#bindFunction(context, listener), { listener });
    const add = {
      on: emitter.on.bind(emitter),
      addListener: emitter.addListener.bind(emitter),
      prependListener: emitter.prependListener.bind(emitter),
    };
    for (const name of ADDERS) {
      emitter[name] = (event: string | symbol, listener: Listener): typeof emitter => add[name](event, wrap(listener));
    }
    for (const [name, adder] of ONCE_ADDERS) {
      emitter[name] = (event: string | symbol, listener: Listener): typeof emitter => {
        const once = this.#bindFunction(context, (...args) => {
          emitter.removeListener(event, once);
          return listener.apply(emitter, args);
        });
        return add[adder](event, Object.assign(once, { listener }));
      };
    }
  }
}
