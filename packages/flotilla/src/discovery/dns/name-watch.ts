import type { Clock, Timer } from "../../clock/clock.ts";
import type { Random } from "../../clock/random.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { Broadcast } from "../broadcast.ts";
import { type Found, type LookupSettings, lookUp } from "./lookup.ts";
import type { Question } from "./question.ts";
import type { DnsResolver } from "./resolver.ts";
import type { KnownTargets } from "./targets.ts";

/** What a {@link NameWatch} is built with. */
export interface NameWatchSettings extends LookupSettings {
  readonly resolver: DnsResolver;
  readonly minRefreshMs: number;
  readonly maxRefreshMs: number;
  readonly timeoutMs: number;
  readonly jitter: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** Asks one question again and again, for all its observers in this process; one lookup at a time. */
export class NameWatch {
  readonly broadcast: Broadcast;
  readonly #question: Question;
  readonly #settings: NameWatchSettings;
  #known: KnownTargets = new Map();
  #failures = 0;
  #told = "";
  #notice: ServiceError | undefined;
  #timer: Timer | undefined;
  #lookup: AbortController | undefined;
  #stopped = false;

  constructor(question: Question, settings: NameWatchSettings, onEmpty: () => void) {
    this.#question = question;
    this.#settings = settings;
    this.broadcast = new Broadcast(() => {
      this.#stopped = true;
      this.#timer?.cancel();
      this.#lookup?.abort();
      onEmpty();
    });
    void this.#look();
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    let waitMs: number;
    try {
      const found = await this.#ask();
      if (this.#stopped) return;
      this.#known = found.known;
      this.#failures = found.partial ? this.#failures + 1 : 0;
      this.broadcast.update(found.instances, this.#report(found));
      waitMs = found.partial ? this.#backoffMs() : this.#refreshMs(found.ttlMs);
    } catch (error) {
      if (this.#stopped) return;
      this.#failures++;
      this.broadcast.error(this.#failure(error));
      waitMs = this.#backoffMs();
    }
    // An observer may have stopped the watch within what it was told.
    if (this.#stopped) return;
    this.#timer = this.#settings.clock.schedule(waitMs, () => void this.#look());
    this.#timer.unref();
  }

  /** One lookup, given up after `timeoutMs` and by `stop`. */
  async #ask(): Promise<Found> {
    const { clock, resolver, timeoutMs } = this.#settings;
    const controller = new AbortController();
    const { signal } = controller;
    this.#lookup = controller;
    const timer = clock.schedule(timeoutMs, () => {
      const text = `no answer within ${timeoutMs} ms: see that the name server runs and can be reached`;
      controller.abort(new ServiceError("unavailable", this.#text(text)));
    });
    timer.unref();
    try {
      // A resolver that does not heed its signal must not hold up the watch.
      return await new Promise<Found>((resolve, reject) => {
        const giveUp = (): void => {
          timer.cancel();
          reject(signal.reason as Error);
        };
        signal.addEventListener("abort", giveUp, { once: true });
        lookUp(this.#question, resolver.begin(signal), this.#known, this.#settings).then(resolve, reject);
      });
    } finally {
      timer.cancel();
      this.#lookup = undefined;
    }
  }

  /** Later than the TTL by up to `jitter` of it, never sooner: many processes that started together spread, and hit no stale cache. */
  #refreshMs(ttlMs: number): number {
    const { minRefreshMs, maxRefreshMs, jitter, random } = this.#settings;
    return Math.min(maxRefreshMs, Math.max(minRefreshMs, ttlMs)) * (1 + jitter * random.next());
  }

  /** Doubles from `minRefreshMs` up to `refreshMs`, the later half of it by chance. */
  #backoffMs(): number {
    const { minRefreshMs, refreshMs, random } = this.#settings;
    return Math.min(refreshMs, minRefreshMs * 2 ** Math.min(this.#failures - 1, 20)) * (0.5 + random.next() / 2);
  }

  /** Records that are no use do not make the snapshot wrong; they are told of when there are others than before. */
  #report({ faults }: Found): ServiceError | undefined {
    const told = faults.join(";");
    if (told !== this.#told) {
      this.#told = told;
      const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
      this.#notice = faults.length === 0 ? undefined : new ServiceError("data_loss", this.#text(`${faults[0]}${more}`));
    }
    return this.#notice;
  }

  #failure(error: unknown): ServiceError {
    if (error instanceof ServiceError) return error;
    const why = error instanceof Error ? error.message : String(error);
    return new ServiceError("unavailable", this.#text(why), { cause: error });
  }

  #text(what: string): string {
    return `dns: ${this.#question.host}${this.#question.type === "srv" ? " (SRV)" : ""}: ${what}`;
  }
}
