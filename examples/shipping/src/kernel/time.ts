/** An instant: milliseconds since 1970-01-01T00:00Z. The domain never asks what time it is; `now` is passed in. */
export type Instant = number;

export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;
export const weekMs = 7 * dayMs;

/** An instant as it is written on the wire: ISO 8601, UTC. */
export function toIso(instant: Instant): string {
  return new Date(instant).toISOString();
}

/** Reads {@link toIso}; NaN for what is no date. */
export function fromIso(text: string): Instant {
  return Date.parse(text);
}
