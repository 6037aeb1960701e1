import type { Decision, RateLimiter } from "./limiter.ts";

/** The fields by which a caller is told of its limit; they must not be sent as trailers. */
export const POLICY_FIELD = "ratelimit-policy";
export const LIMIT_FIELD = "ratelimit";

/** Characters of a String of structured fields that need no escape. */
const PLAIN = /^[ !#-[\]-~]{1,64}$/;
const MAX_INTEGER = 999_999_999_999_999;

/**
 * Writes the fields of one policy: `RateLimit-Policy: "default";q=100;w=60` and `RateLimit: "default";r=50;t=30`.
 *
 * `w` and `t` are whole seconds; windows that are not are told as the next longer one, with as many units as it admits. `t` is the time
 * in which what remains is used up at the rate admitted over time, so that a client that spreads its calls over it
 * keeps to the limit; on refusal it is not later than Retry-After, which goes before it.
 *
 * Source: draft-ietf-httpapi-ratelimit-headers-10, sections 3, 4, 6 and 8.5.
 */
export class RateLimitFields {
  /** The value of RateLimit-Policy. */
  readonly policy: string;
  readonly #name: string;
  readonly #secondsPerUnit: number;

  /** @throws TypeError when the name cannot stand in a field. */
  constructor(name: string, limiter: RateLimiter) {
    if (!PLAIN.test(name)) {
      throw new TypeError(
        `rateLimit: policy must be 1 to 64 visible ASCII characters without quotes and backslashes, got ${JSON.stringify(name)}`,
      );
    }
    const { limit, windowMs } = limiter;
    // Long enough for a whole unit: a quota of none would tell callers to stay away.
    const seconds = Math.ceil(Math.max(windowMs, windowMs / limit) / 1000);
    const quota = Math.floor((limit * seconds * 1000) / windowMs + 1e-9);
    this.#name = `"${name}"`;
    this.#secondsPerUnit = windowMs / limit / 1000;
    this.policy = `${this.#name};q=${Math.min(quota, MAX_INTEGER)};w=${Math.min(seconds, MAX_INTEGER)}`;
  }

  /** The value of RateLimit. */
  state({ allowed, remaining, retryAfterMs }: Decision): string {
    let seconds = Math.ceil(Math.max(remaining, 1) * this.#secondsPerUnit);
    if (!allowed) seconds = Math.min(seconds, Math.ceil(retryAfterMs / 1000));
    return `${this.#name};r=${Math.min(remaining, MAX_INTEGER)};t=${Math.min(seconds, MAX_INTEGER)}`;
  }
}
