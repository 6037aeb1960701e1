import type { Clock } from "../../../clock/clock.ts";
import { systemClock } from "../../../clock/system-clock.ts";
import { parseJson } from "../../../codec/json.ts";
import { checkPositive } from "../../../errors/check-positive.ts";
import type { Invoke, InvokeOutput } from "./client-options.ts";
import type { LambdaEvent } from "./events.ts";
import type { LambdaHandler } from "./lambda.ts";

/** Options of {@link localFunctions}. */
export interface LocalFunctionsOptions {
  /** What an invocation may take, milliseconds, above 0. Default 3000, the platform's own. */
  readonly timeoutMs?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/**
 * Functions in this process, for tests and development: what `lambdaClient` needs to call them as the platform would. Events and answers
 * cross as JSON, errors by their name and message, and whoever gives up leaves the function to go on. Several events of a function are
 * handled at a time.
 *
 * ```ts
 * lambdaClient({ invoke: localFunctions({ calculator: handler }) });
 * ```
 *
 * @param functions - by name; an alias or version is not looked at.
 * @throws TypeError when an option is not legal, naming it.
 */
export function localFunctions(
  functions: Readonly<Record<string, LambdaHandler>>,
  { timeoutMs = 3000, clock = systemClock }: LocalFunctionsOptions = {},
): Invoke {
  checkPositive("localFunctions", { timeoutMs });

  function run(handler: LambdaHandler, payload: Uint8Array): Promise<InvokeOutput> {
    const endsAtMs = clock.now() + timeoutMs;
    const { promise, resolve } = Promise.withResolvers<InvokeOutput>();
    const timer = clock.schedule(timeoutMs, () =>
      resolve(failure("Sandbox.Timedout", `Task timed out after ${timeoutMs} ms`)),
    );
    const event = parseJson(Buffer.from(payload).toString("utf8")) as LambdaEvent;
    void handler(event, { getRemainingTimeInMillis: () => endsAtMs - clock.now() })
      .then(
        (answer) => resolve({ Payload: Buffer.from(JSON.stringify(answer)) }),
        (error: unknown) => resolve(failure((error as Error).name, (error as Error).message)),
      )
      .finally(() => timer.cancel());
    return promise;
  }

  return async function invokeLocally({ FunctionName, Payload }, { abortSignal }) {
    const name = FunctionName.replace(/:.*$/, "");
    if (!Object.hasOwn(functions, name)) {
      throw Object.assign(new Error(`Function not found: ${name}`), {
        name: "ResourceNotFoundException",
        $metadata: { httpStatusCode: 404 },
      });
    }
    const given = Promise.withResolvers<never>();
    const giveUp = (): void => given.reject(abortSignal.reason);
    if (abortSignal.aborted) giveUp();
    abortSignal.addEventListener("abort", giveUp, { once: true });
    try {
      return await Promise.race([run(functions[name]!, Payload), given.promise]);
    } finally {
      abortSignal.removeEventListener("abort", giveUp);
    }
  };
}

function failure(errorType: string, errorMessage: string): InvokeOutput {
  return { FunctionError: "Unhandled", Payload: Buffer.from(JSON.stringify({ errorType, errorMessage })) };
}
