import type { Clock, Timer } from "../../clock/clock.ts";
import type { Context } from "../../context/context.ts";
import type { Instance } from "../../endpoint/instance.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import type { Registration } from "../discovery.ts";
import { type LeaseStore, storeError } from "./lease-store.ts";

/** Keeps one lease alive by heartbeats; writes it anew when somebody removed it. */
export class EmbeddedRegistration implements Registration {
  readonly #store: LeaseStore;
  readonly #dir: string;
  readonly #service: string;
  readonly #instance: Instance;
  readonly #ttlMs: number;
  readonly #heartbeatMs: number;
  readonly #clock: Clock;
  #error: ServiceError | undefined;
  #timer: Timer | undefined;
  #beating: Promise<void> = Promise.resolve();
  #gone: Promise<void> | undefined;

  constructor(
    store: LeaseStore,
    dir: string,
    service: string,
    instance: Instance,
    options: { readonly ttlMs: number; readonly heartbeatMs: number; readonly clock: Clock },
  ) {
    this.#store = store;
    this.#dir = dir;
    this.#service = service;
    this.#instance = instance;
    this.#ttlMs = options.ttlMs;
    this.#heartbeatMs = options.heartbeatMs;
    this.#clock = options.clock;
  }

  get error(): ServiceError | undefined {
    return this.#error;
  }

  async start(): Promise<void> {
    try {
      await this.#store.write(this.#service, this.#instance, this.#ttlMs);
    } catch (error) {
      throw storeError(this.#dir, `register ${this.#service}`, error);
    }
    this.#schedule();
  }

  #schedule(): void {
    // Whatever serves keeps the process alive; the lease is only its sign.
    this.#timer = this.#clock.schedule(this.#heartbeatMs, () => {
      this.#beating = this.#beat().then(() => {
        if (this.#gone === undefined) this.#schedule();
      });
    });
    this.#timer.unref();
  }

  async #beat(): Promise<void> {
    try {
      await this.#store.beat(this.#service, this.#instance.id, this.#clock.epoch());
      this.#error = undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
        this.#error = storeError(this.#dir, `renew the lease of ${this.#service}`, error);
        return;
      }
      await this.#again();
    }
  }

  async #again(): Promise<void> {
    try {
      if (this.#gone !== undefined) return;
      await this.#store.write(this.#service, this.#instance, this.#ttlMs);
      this.#error = undefined;
    } catch (error) {
      this.#error = storeError(this.#dir, `register ${this.#service} again`, error);
    }
  }

  deregister(_ctx: Context): Promise<void> {
    this.#gone ??= this.#remove();
    return this.#gone;
  }

  async #remove(): Promise<void> {
    this.#timer?.cancel();
    // A heartbeat under way could write the lease again after it was removed.
    await this.#beating;
    this.#timer?.cancel();
    try {
      await this.#store.remove(this.#service, this.#instance.id);
    } catch (error) {
      throw storeError(this.#dir, `deregister ${this.#service}`, error);
    }
  }
}
