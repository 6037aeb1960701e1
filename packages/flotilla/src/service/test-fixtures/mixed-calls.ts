// Calls of the four kinds, of every fate there is, through all policies that a channel and a host may have, and what is left of them.
import assert from "node:assert/strict";
import type { BalancerFactory, Candidate } from "../../balance/balancer.ts";
import type { Clock } from "../../clock/clock.ts";
import type { Random } from "../../clock/random.ts";
import type { Context } from "../../context/context.ts";
import { sleep } from "../../context/sleep.ts";
import { background, withCancel, withTimeout } from "../../context/with.ts";
import type { Connector, Listener, Listening } from "../../endpoint/transport.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { type CircuitBreaker, circuitBreaker } from "../../resilience/breaker/circuit-breaker.ts";
import { consecutive } from "../../resilience/breaker/trip.ts";
import { deadlineCheck } from "../../resilience/deadline-check.ts";
import { loadReporting } from "../../resilience/load-reporting.ts";
import { type ConcurrencyLimit, concurrencyLimit } from "../../resilience/overload/concurrency-limit.ts";
import { egressLimit } from "../../resilience/rate-limit/egress-limit.ts";
import { rateLimit } from "../../resilience/rate-limit/rate-limit.ts";
import { until } from "../../testing/discovery-recorder.ts";
import { TestRegistry } from "../../testing/test-registry.ts";
import { channel, client } from "../channel.ts";
import { host } from "../host.ts";
import type { RunningHost } from "../host-options.ts";
import { end, fates, handlers, last, type Message, Mixed, well } from "./mixed-service.ts";

const readings = ["whole", "whole", "left", "unread", "unmade", "deadline", "canceled", "gone"] as const;
const sendings = ["whole", "whole", "throws", "endless", "stuck"] as const;
const allKinds = ["one", "many", "collect", "chat"] as const;
const INSTANCES = 3;

function pick<T>(random: Random, of: readonly T[]): T {
  return of[Math.floor(random.next() * of.length)]!;
}

/** What the calls are made over. */
export interface Bed {
  readonly clock: Clock;
  readonly random: Random;
  readonly balance: BalancerFactory;
  readonly perTryTimeoutMs: number;
  readonly transport: Connector;
  /** Whether streams may go both ways at once. Default true. */
  readonly bidi?: boolean;
  listener(instance: number): Listener;
  /** The way to a server's address, where that is not direct. */
  through?(address: string): Promise<string>;
}

/** The servers. */
interface Serving {
  readonly hosts: readonly RunningHost[];
  readonly listening: readonly Listening[];
  readonly limits: readonly ConcurrencyLimit[];
}

/** A listener that can be looked at when it listens. */
function kept(listener: Listener, listening: Listening[]): Listener {
  return {
    protocol: listener.protocol,
    async listen(services, root) {
      const opened = await listener.listen(services, root);
      listening.push(opened);
      return opened;
    },
  };
}

/** A balancer whose candidates can be looked at. */
function seen(inner: BalancerFactory, candidates: Set<Candidate>): BalancerFactory {
  return (deps) => {
    const balancer = inner(deps);
    const update = balancer.update.bind(balancer);
    balancer.update = (list) => {
      for (const candidate of list) candidates.add(candidate);
      update(list);
    };
    return balancer;
  };
}

/** Hosts and a channel with all there is around each call. */
export class MixedCalls {
  /** What became of the calls, by code. */
  readonly outcomes: Record<string, number> = {};
  readonly #bed: Bed;
  readonly #hosts: readonly RunningHost[];
  readonly #listening: readonly Listening[];
  readonly #limits: readonly ConcurrencyLimit[];
  readonly #bulkhead: ConcurrencyLimit;
  readonly #egress: ReturnType<typeof egressLimit>;
  readonly #breakers: CircuitBreaker[] = [];
  readonly #candidates = new Set<Candidate>();
  readonly #channel: ReturnType<typeof channel>;
  readonly #client: ReturnType<typeof client<typeof Mixed>>;
  readonly #scope;

  static async start(bed: Bed): Promise<MixedCalls> {
    const { clock } = bed;
    const registry = new TestRegistry();
    const limits = Array.from({ length: INSTANCES }, () =>
      concurrencyLimit({ clock, limit: 12, maxQueued: 6, streams: true }),
    );
    const listening: Listening[] = [];
    const hosts = await Promise.all(
      limits.map((limit, i) =>
        host({
          name: `mixed-${i}`,
          serve: [handlers()],
          listen: [kept(bed.listener(i), listening)],
          ...(bed.through === undefined && { register: registry }),
          use: [deadlineCheck(), limit, rateLimit({ perSecond: 5000, clock }), loadReporting({ clock })],
          admin: false,
          clock,
          onEvent() {},
          onError() {},
        }).start(),
      ),
    );
    if (bed.through !== undefined) {
      registry.set(Mixed.name, await Promise.all(listening.map(({ address }) => bed.through!(address))));
    }
    return new MixedCalls(bed, registry, { hosts, listening, limits });
  }

  private constructor(bed: Bed, discover: TestRegistry, { hosts, listening, limits }: Serving) {
    const { clock, random, transport } = bed;
    this.#bed = bed;
    this.#hosts = hosts;
    this.#listening = listening;
    this.#limits = limits;
    this.#bulkhead = concurrencyLimit({ clock, limit: 40, maxQueued: 20, streams: true, side: "client" });
    this.#egress = egressLimit({ perSecond: 2000, burst: 20, clock });
    this.#channel = channel({
      discover,
      transport,
      clock,
      random,
      balance: seen(bed.balance, this.#candidates),
      use: [this.#bulkhead],
      perAttempt: [this.#egress],
      hedge: { delayMs: 10 },
      retry: { perTryTimeoutMs: bed.perTryTimeoutMs },
      ejection: { ejectionMs: 100, maxEjectionMs: 200 },
      perInstance: () => {
        const breaker = circuitBreaker({ clock, random, trip: consecutive(3), openMs: 20, maxOpenMs: 40 });
        this.#breakers.push(breaker);
        return [breaker];
      },
      onEvent() {},
    });
    this.#client = client(Mixed, this.#channel);
    this.#scope = withCancel(background(clock));
  }

  /** Makes so many calls, some of them at a time. */
  async make(calls: number, atATime: number): Promise<void> {
    let made = 0;
    const one = async (): Promise<void> => {
      while (made++ < calls) {
        let code = "ok";
        try {
          await this.#call();
        } catch (error) {
          code = ServiceError.from(error).code;
          // Else nearly all calls are such as circuits refuse.
          if (code === "unavailable") await sleep(this.#scope, 5);
        }
        this.outcomes[code] = (this.outcomes[code] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: atATime }, one));
  }

  async #call(): Promise<void> {
    const { random, clock, bidi = true } = this.#bed;
    const kind = pick(random, bidi ? allKinds : allKinds.slice(0, 3));
    const reading = pick(random, readings);
    const request: Message = { n: Math.floor(random.next() * 4), fate: pick(random, fates) };
    const ctx = withTimeout(this.#scope, reading === "deadline" ? 5 + random.next() * 10 : 150);
    const timer = reading === "canceled" ? clock.schedule(random.next() * 3, () => ctx.cancel()) : undefined;
    if (reading === "gone") ctx.cancel();
    try {
      const sent = kind === "collect" || kind === "chat" ? this.#requests(ctx, request) : request;
      if (reading === "unread") {
        const info = Mixed.methods.find(({ key }) => key === kind)!;
        await this.#channel.endpoint(info)(ctx, sent);
        await sleep(this.#scope, random.next() * 20);
      } else if (kind === "one") await this.#client.one(ctx, request);
      else if (kind === "collect") await this.#client.collect(ctx, sent as AsyncIterable<Message>);
      else {
        const stream =
          kind === "many" ? this.#client.many(ctx, request) : this.#client.chat(ctx, sent as AsyncIterable<Message>);
        let left = reading === "left" ? Math.floor(random.next() * 3) : Infinity;
        if (reading === "unmade") return;
        for await (const _ of stream) if (left-- <= 0) break;
      }
    } finally {
      timer?.cancel();
      ctx.cancel();
    }
  }

  async *#requests(ctx: Context, first: Message): AsyncGenerator<Message> {
    const sending = pick(this.#bed.random, sendings);
    for (let i = 0; i < 3; i++) yield first;
    if (sending === "throws") throw new Error("the caller's own stream broke");
    if (sending === "stuck") await end(ctx);
    if (sending !== "endless") return;
    for (;;) {
      await sleep(ctx, 1);
      yield first;
    }
  }

  /** What is held for calls, by whom. */
  #counts(): Record<string, readonly number[]> {
    return {
      serving: this.#listening.map(({ inFlight }) => inFlight),
      limits: this.#limits.map(({ state }) => state.inFlight + state.queued),
      bulkhead: [this.#bulkhead.state.inFlight + this.#bulkhead.state.queued, this.#egress.waiting],
      candidates: Array.from(this.#candidates, ({ inFlight }) => inFlight),
    };
  }

  /** How much is held for calls, all in all. */
  get held(): number {
    return Object.values(this.#counts())
      .flat()
      .reduce((sum, count) => sum + count, 0);
  }

  /** Whether every circuit that is open has been so for long enough. */
  get rested(): boolean {
    return this.#breakers.every(({ breakers }) => breakers.every(({ nextProbeMs = 0 }) => nextProbeMs === 0));
  }

  /**
   * Fails unless nothing is held for any call, and every method can be called again.
   *
   * @param allAsked - whether the balancer asks all instances now, though they have failed.
   */
  async check(allAsked = true): Promise<void> {
    assert.ok(this.#candidates.size >= INSTANCES);
    for (const [what, counts] of Object.entries(this.#counts())) {
      assert.deepEqual(
        counts,
        counts.map(() => 0),
        what,
      );
    }
    const answer = { n: 1, fate: "ok" };
    const one = async function* (): AsyncGenerator<Message> {
      yield well;
    };
    for (let i = 0; i < 40; i++) {
      assert.deepEqual(await this.#client.one(this.#scope, well), answer);
      assert.deepEqual(await last(this.#client.many(this.#scope, well)), answer);
      assert.deepEqual(await this.#client.collect(this.#scope, one()), answer);
      if (this.#bed.bidi !== false) assert.deepEqual(await last(this.#client.chat(this.#scope, one())), answer);
    }
    // No circuit is half open for ever.
    for (const { name, state, nextProbeMs = 0 } of this.#breakers.flatMap((breaker) => breaker.breakers)) {
      assert.deepEqual([allAsked ? state : "", nextProbeMs], [allAsked ? "closed" : "", 0], name);
    }
    const links = this.#scope as unknown as { readonly listener: unknown; readonly child: unknown };
    await until("nothing listens to the context", () => links.listener === undefined && links.child === undefined);
  }

  async close(): Promise<void> {
    await this.#channel.close();
    await Promise.all(this.#hosts.map((running) => running.stop()));
  }
}
