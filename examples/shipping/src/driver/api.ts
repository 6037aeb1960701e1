import type { Clock } from "flotilla/clock";
import { countAnswer, countFailure, type Ledger } from "./ledger.ts";

/** A request went wrong, and the ledger knows. The customer can only give up. */
export class Disappointed extends Error {
  override readonly name = "Disappointed";
}

/** Calls the gateway as any program on the internet would: HTTP and JSON, nothing of Flotilla. */
export interface Api {
  /**
   * Sends a request and gives back the body of the answer.
   *
   * @param expected - the HTTP status that is the right answer.
   * @throws Disappointed for any other.
   */
  send<Body>(method: string, path: string, body: unknown, expected: number): Promise<Body>;
}

const timeoutMs = 15_000;

/** The gateway at an address, with each answer entered into the ledger. */
export function createApi(address: string, ledger: Ledger, clock: Clock): Api {
  return {
    send: async <Body>(method: string, path: string, body: unknown, expected: number) => {
      const started = clock.now();
      const request = `${method} ${path}`;
      let got: string;
      try {
        const response = await fetch(address + path, {
          method,
          signal: AbortSignal.timeout(timeoutMs),
          ...(body !== undefined && {
            headers: { "content-type": "application/json" },
            body: typeof body === "string" ? body : JSON.stringify(body),
          }),
        });
        const text = await response.text();
        if (response.status === expected) {
          const parsed = JSON.parse(text) as Body;
          countAnswer(ledger, clock.now() - started, expected >= 400);
          return parsed;
        }
        got = `${response.status} ${text.slice(0, 300)}`;
      } catch (error) {
        const { message, cause } = error as Error;
        got = cause instanceof Error ? `${message}: ${cause.message}` : message;
      }
      countFailure(ledger, { request, expected: String(expected), got });
      throw new Disappointed(`${request}: expected ${expected}, got ${got}`);
    },
  };
}
