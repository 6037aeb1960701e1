import type { Context } from "../../context/context.ts";
import { sleep } from "../../context/sleep.ts";
import { withCancel } from "../../context/with.ts";
import { fromProtobuf } from "../../contract/protobuf/from-protobuf.ts";
import { readinessKey } from "../../endpoint/readiness.ts";
import type { BoundMethod, Service } from "../../endpoint/service.ts";
import { ServiceError } from "../../errors/service-error.ts";
import {
  type HealthCheckRequest,
  Health as HealthService,
  HealthCheckResponse_ServingStatus as Status,
} from "./gen/grpc/health/v1/health_pb.ts";

/** How often watchers are told of checks that began or ceased to hold, milliseconds. */
const WATCH_EVERY_MS = 2000;
/** Watches beyond which further ones are refused. */
const MAX_WATCHES = 1000;

/**
 * Tells gRPC's health checkers whether the host is ready: the server as a whole (the empty name) and each service by name, which are
 * ready together.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
export class Health implements Service {
  readonly name: string = HealthService.typeName;
  readonly methods: readonly BoundMethod[];
  readonly #root: Context;
  readonly #known: ReadonlySet<string>;
  /** Wakes those that watch. */
  readonly #watches = new Set<() => void>();
  #discouraged = false;
  #ended = false;

  constructor(services: readonly Service[], root: Context) {
    this.#root = root;
    this.#known = new Set(["", HealthService.typeName, ...services.map(({ name }) => name)]);
    const [check, watch] = fromProtobuf(HealthService).methods;
    this.methods = [
      { info: check!, endpoint: (_ctx, request) => this.#check(request as HealthCheckRequest) },
      { info: watch!, endpoint: (ctx, request) => this.#watch(ctx, request as HealthCheckRequest) },
    ];
  }

  async #check({ service }: HealthCheckRequest): Promise<{ status: Status }> {
    if (!this.#known.has(service)) {
      throw new ServiceError("not_found", `${JSON.stringify(service.slice(0, 256))} is not served here`);
    }
    return { status: await this.#status() };
  }

  async #status(): Promise<Status> {
    if (this.#discouraged) return Status.NOT_SERVING;
    const ready = await this.#root.value(readinessKey)(this.#root);
    return ready && !this.#discouraged ? Status.SERVING : Status.NOT_SERVING;
  }

  #watch(ctx: Context, { service }: HealthCheckRequest): Promise<AsyncIterable<{ status: Status }>> {
    if (this.#watches.size >= MAX_WATCHES) {
      return Promise.reject(new ServiceError("resource_exhausted", `${MAX_WATCHES} watch already`));
    }
    return Promise.resolve(this.#changes(ctx, this.#known.has(service)));
  }

  async *#changes(ctx: Context, known: boolean): AsyncGenerator<{ status: Status }> {
    let told: Status | undefined;
    while (!this.#ended) {
      const status = known ? await this.#status() : Status.SERVICE_UNKNOWN;
      if (status !== told) yield { status };
      told = status;
      if (!this.#ended) await this.#change(ctx);
    }
    if (known && told !== Status.NOT_SERVING) yield { status: Status.NOT_SERVING };
    throw new ServiceError("unavailable", "the server is shutting down");
  }

  /** Waits until something may have changed. @throws ServiceError when the call has ended. */
  async #change(ctx: Context): Promise<void> {
    const waiting = withCancel(ctx);
    const wake = (): void => waiting.cancel();
    this.#watches.add(wake);
    try {
      await sleep(waiting, WATCH_EVERY_MS);
    } catch {
      // Woken early, or the call is over.
      if (ctx.err !== undefined) throw ctx.err;
    } finally {
      this.#watches.delete(wake);
      waiting.cancel();
    }
  }

  /** From now on nothing is told to be serving. */
  discourage(): void {
    this.#discouraged = true;
    for (const wake of this.#watches) wake();
  }

  /** Ends all watches: they would never end by themselves. */
  end(): void {
    this.#ended = true;
    this.discourage();
  }
}
