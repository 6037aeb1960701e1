import type { Random } from "../../clock/random.ts";
import type { Context } from "../../context/context.ts";
import { sleep } from "../../context/sleep.ts";
import { afterFunc } from "../../context/with.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Code } from "../../errors/code.ts";
import { errorInfo, FLOTILLA_DOMAIN } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { serverCall } from "../../metadata/call.ts";
import type { CallFault, InjectedFault, SettledCallFault } from "./call-fault.ts";

/** The reason in the error detail of calls that failed because they were told to. */
export const FAULT_INJECTED = "FAULT_INJECTED";

/** A fault that strikes calls. */
export class LiveFault implements InjectedFault<CallFault> {
  readonly fault: CallFault;
  hits = 0;
  readonly #settled: SettledCallFault;
  readonly #serving: boolean;
  readonly #random: Random;
  readonly #onHeal: () => void;
  /** What lets the calls go on that wait to be healed. */
  readonly #held = new Set<() => void>();
  #healed = false;

  constructor(
    fault: CallFault,
    settled: SettledCallFault,
    { serving, random }: { readonly serving: boolean; readonly random: Random },
    onHeal: () => void,
  ) {
    this.fault = fault;
    this.#settled = settled;
    this.#serving = serving;
    this.#random = random;
    this.#onHeal = onHeal;
  }

  /** Whether it strikes when the call was answered. */
  get late(): boolean {
    return this.#settled.late;
  }

  get afterMessages(): number {
    return this.#settled.afterMessages;
  }

  /** Whether it is for this call. Asked once a call. */
  meets(ctx: Context, method: MethodInfo): boolean {
    const { methods, when, share } = this.#settled;
    if (methods !== undefined && !methods.has(method.name) && !methods.has(method.procedure)) return false;
    if (when !== undefined && !when(ctx, method)) return false;
    return share === 1 || this.#random.next() < share;
  }

  /**
   * Does what is to be done.
   *
   * @param again - this call was struck before, by another of its messages.
   * @throws ServiceError what the call ends with.
   */
  async strike(ctx: Context, method: MethodInfo, again = false): Promise<void> {
    if (this.#healed) return;
    if (!again) this.hits++;
    const { latency, end } = this.#settled;
    if (latency !== undefined) await sleep(ctx, latency.sample(this.#random));
    if (end === undefined || this.#healed) return;
    if (end === "blackhole") return this.#hold(ctx);
    if (end === "error") throw this.#error(method);
    const lost = injected(
      "unavailable",
      `lost the connection: ${method.procedure} is aborted, as a fault injected says`,
    );
    if (this.#serving) serverCall(ctx)?.cut?.(lost);
    throw lost;
  }

  #error(method: MethodInfo): ServiceError {
    const error = this.#settled.error as Code | ((method: MethodInfo) => ServiceError);
    if (typeof error === "function") return error(method);
    return injected(error, `${method.procedure} fails, as a fault injected says`);
  }

  #hold(ctx: Context): Promise<void> {
    return new Promise((resolve, reject) => {
      const release = (): void => {
        stop();
        this.#held.delete(release);
        resolve();
      };
      const stop = afterFunc(ctx, () => {
        this.#held.delete(release);
        reject(ctx.err);
      });
      this.#held.add(release);
    });
  }

  heal(): void {
    if (this.#healed) return;
    this.#healed = true;
    this.#onHeal();
    for (const release of this.#held) release();
  }
}

function injected(code: Code, message: string): ServiceError {
  return new ServiceError(code, message, {
    details: [errorInfo({ reason: FAULT_INJECTED, domain: FLOTILLA_DOMAIN })],
  });
}
